"""The trials of `gravscope doctor`: a real scope with real limits, and a real OOM kill in one.

The process in the scope waits for the end of its input, which is ours to end: it comes with the end of this process
too, whatever ends it. So nothing is left behind by Ctrl-C, nor by SIGKILL.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gravscope.actions.doctor.facts import ASKED, OOM_ASKED, OOM_MAX, Held, OomTrial, Trial
from gravscope.linux import cgroup, proc
from gravscope.records.spec import Limits
from gravscope.systemd import commands, host

# seconds until a manager that has answered a question may be taken to be stuck with the scope
START_WITHIN = 15.0
# filling some MB takes seconds on a slow machine, and reclaim before the kill takes its time
KILL_WITHIN = 30.0
END_WITHIN = 5.0

_WAIT = "echo ready; exec cat"
_EXCEED = 'echo ready; "$@"; echo $?; exec cat'
# its own score makes sure that the kernel takes it, and not the shell that is to tell of its end
_FILL = f"open('/proc/self/oom_score_adj', 'w').write('1000'); b'x' * {2 * OOM_MAX}"


@dataclass(frozen=True)
class Waiting:
    """A process in a scope of its own, and what it and its launcher said."""

    unit: str
    process: subprocess.Popen[bytes]
    errors: int

    def line(self, within: float) -> str | None:
        """The next line it prints; None if it ends, or `within` seconds pass, without one."""
        assert self.process.stdout is not None  # noqa: S101 (for mypy: it is a pipe)
        descriptor, deadline, heard = self.process.stdout.fileno(), time.monotonic() + within, b""
        while not heard.endswith(b"\n"):
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            part = os.read(descriptor, 1)
            if not part:
                return None
            heard += part
        return heard.decode("utf-8", "replace").strip()

    def complaint(self) -> str:
        """Why there was no line."""
        said = os.pread(self.errors, 65536, 0).decode("utf-8", "replace").strip().splitlines()
        if said:
            return said[-1]
        if self.process.poll() is None:
            return "the scope did not start in time"
        return f"it ended with exit status {self.process.returncode}"


@contextmanager
def scope(environ: Mapping[str, str], limits: Limits, script: str, words: Sequence[str] = ()) -> Iterator[Waiting]:
    """Runs a shell script in a scope like a job's until the block ends; the unit is gone afterwards."""
    unit = commands.unit_name(f"doctor-{os.getpid()}-{time.monotonic_ns():x}")
    prefix = commands.systemd_run_scope(unit, commands.scope_properties(limits, grace=1.0), "gravscope doctor's trial")
    errors = os.memfd_create("doctor-stderr")
    try:
        process = subprocess.Popen(
            [*prefix, "sh", "-c", script, "sh", *words],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        try:
            yield Waiting(unit, process, errors)
        finally:
            _end(process)
            host.call(commands.systemctl_stop(unit), environ, END_WITHIN)
            # where it could not be started, the manager may keep a failed unit
            host.call(commands.systemctl_reset_failed(unit), environ, END_WITHIN)
    finally:
        os.close(errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def try_scope(environ: Mapping[str, str]) -> Trial:
    """Starts a scope with limits and reads them back from its cgroup. `environ` is what reaches the manager."""
    try:
        with scope(environ, ASKED, _WAIT) as waiting:
            if waiting.line(START_WITHIN) is None:
                return Trial(waiting.complaint(), {})
            folder = cgroup.folder_of(waiting.process.pid)
            if folder is not None and not folder.endswith(f"/{commands.SLICE}/{waiting.unit}"):
                return Trial(f"its process is not in the scope, but in {folder}", {})
            return Trial(None, {} if folder is None else own_limits(folder), waiting.unit)
    except OSError as error:
        return Trial(f"systemd-run: {error.strerror}", {})


def own_limits(folder: str) -> dict[str, Held]:
    """What the cgroup itself holds; limits further up the tree are left out here, since they are not the scope's."""
    found: dict[str, Held] = {
        name: cgroup.read_limit(folder, cgroup.LIMIT_FILES[name]) for name in ("mem_high", "mem_max", "tasks_max")
    }
    found["cpu_quota"] = cgroup.quota_percent(proc.read_text(f"{folder}/cpu.max"))
    return found


def try_oom(environ: Mapping[str, str]) -> OomTrial:
    """Has a process exceed its scope's memory limit, and looks whether the kernel killed it and counted that."""
    try:
        with scope(environ, OOM_ASKED, _EXCEED, [sys.executable, "-I", "-S", "-c", _FILL]) as waiting:
            if waiting.line(START_WITHIN) is None:
                return OomTrial(waiting.complaint())
            status = waiting.line(KILL_WITHIN)
            folder = cgroup.folder_of(waiting.process.pid)
            if status is None or folder is None:
                return OomTrial(f"no end of it was seen within {KILL_WITHIN:g} s")
            return OomTrial(None, int(status), cgroup.read_keyed(folder, "memory.events").get("oom_kill"))
    except OSError as error:
        return OomTrial(f"systemd-run: {error.strerror}")
