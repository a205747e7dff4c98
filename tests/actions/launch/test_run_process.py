"""The process that `gravscope run` makes: what it inherits, what it is deaf to, what holds its limits."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gravscope.linux import proc
from tests.support import Gravscope, alive, until

# takes as many MiB as its argument says, touches them all, says so, and stays
HOG = "import sys, time; x = b'x' * (int(sys.argv[1]) << 20); print('full', flush=True); time.sleep(1000)"
# the same, and forks four children that share it
POOL = "import os; [os.fork() or time.sleep(1000) for _ in range(4)]"


# signals 32 and 33 are the C library's, which lets nobody set them (nptl(7)): what pytest was started with stays
RESERVED = 0b11 << 31


def field(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":", 1)[1].strip()
    raise AssertionError(name)


def links(pid: int) -> dict[int, str]:
    """What each of its descriptors leads to; nothing if one of them was closed meanwhile."""
    try:
        return {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:
        return {}


def test_survives_the_end_of_its_terminal(gravscope: Gravscope) -> None:
    """The job runs on, output intact, when the terminal and the shell that launched it are hung up."""
    mark = gravscope.folder / "go"
    script = f"echo before; until [ -e {mark} ]; do sleep 0.05; done; echo after"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(gravscope.folder)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever pytest was started with, such as nohup
        line = f'{sys.executable} -m gravscope run -n hup --launcher session -- bash -c "{script}"; exec sleep 1000'
        os.execve("/bin/bash", ["bash", "-ic", line], gravscope.environ)
    until(lambda: gravscope.jobs_dir.exists() and any(r["state"] == "running" for r in gravscope.records()), "the job")
    # not before: bash forgets a SIGHUP that comes between a command's end and the next one's exec
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "what the shell does next")
    os.close(terminal)  # the line drops: the kernel sends SIGHUP to the session
    until(lambda: os.waitpid(pid, os.WNOHANG)[0], "the end of what was at the terminal")
    (record,) = gravscope.records()
    assert alive(record["pid"])
    mark.touch()
    assert gravscope.ended(record["id"])["state"] == "succeeded"
    assert gravscope.log(record["id"]) == "before\nafter\n"


def test_survives_the_end_of_make(gravscope: Gravscope) -> None:
    """The job outlives the make, and the process group of the make, that launched it."""
    makefile = gravscope.folder / "Makefile"
    command = f"{sys.executable} -m gravscope run -n made --launcher session -- sleep 100"
    makefile.write_text(f"go:\n\t@{command}\n\tsleep 1000\n")
    make = subprocess.Popen(["make", "-C", str(gravscope.folder)], env=gravscope.environ, start_new_session=True)
    until(lambda: gravscope.jobs_dir.exists() and any(r["state"] == "running" for r in gravscope.records()), "the job")
    os.killpg(make.pid, signal.SIGKILL)
    make.wait()
    (record,) = gravscope.records()
    assert alive(record["pid"])
    assert gravscope.record(record["id"])["state"] == "running"


def test_signals_are_a_fresh_programs(gravscope: Gravscope) -> None:
    """SIGHUP is ignored, every other signal at its default and none blocked, whatever the launching shell had."""
    job = gravscope.start("-n", "signals", "--", "sleep", "100")
    pid = gravscope.record(job)["pid"]
    assert int(field(pid, "SigIgn"), 16) & ~RESERVED == 1 << (signal.SIGHUP - 1)
    assert int(field(pid, "SigBlk"), 16) == 0
    assert int(field(pid, "SigCgt"), 16) == 0
    supervisor = gravscope.record(job)["supervisor_pid"]
    assert int(field(supervisor, "SigIgn"), 16) & 1 << (signal.SIGHUP - 1)


def test_inherits_nothing_but_its_output(gravscope: Gravscope) -> None:
    """The command has standard input from /dev/null, both outputs in its log, and no other descriptor of ours."""
    job = gravscope.start("-n", "files", "--", "sleep", "100")
    record = gravscope.record(job)
    expected = {0: "/dev/null", 1: record["log_file"], 2: record["log_file"]}
    # what it opens itself, for the dynamic linker for one, it closes again; what it inherited it would keep
    until(lambda: links(record["pid"]) == expected, f"no other descriptor than {expected}")


def test_leads_its_own_group_in_the_supervisors_session(gravscope: Gravscope) -> None:
    """Supervisor and command are out of the launching session; the command leads a process group of its own."""
    job = gravscope.start("-n", "groups", "--", "sleep", "100")
    record = gravscope.record(job)
    command, supervisor = proc.stat(record["pid"]), proc.stat(record["supervisor_pid"])
    assert command is not None
    assert supervisor is not None
    assert command.pgid == record["pgid"] == command.pid
    assert command.session == supervisor.session == supervisor.pid != os.getsid(0)
    assert command.ppid == supervisor.pid


def test_a_machine_out_of_memory_takes_the_job_first(gravscope: Gravscope) -> None:
    """The job's oom_score_adj is 500 above the supervisor's, which stays as the launching shell's."""
    job = gravscope.start("-n", "score", "--", "sleep", "100")
    record = gravscope.record(job)
    scores = [int(Path(f"/proc/{record[pid]}/oom_score_adj").read_text()) for pid in ("pid", "supervisor_pid")]
    ours = int(Path("/proc/self/oom_score_adj").read_text())
    assert scores == [min(1000, ours + 500), ours]


def test_the_watch_kills_at_the_limit(gravscope: Gravscope) -> None:
    """Where the kernel holds no limit the watch does: oom-killed, 137, and record and command line say who it was."""
    done = gravscope(
        "run", "-n", "hog", "--launcher", "session", "--mem-max", "64M", "--", sys.executable, "-c", HOG, "200"
    )
    assert "gravscope itself watches --mem-max" in done.stderr
    job = done.stdout.strip()
    assert gravscope("wait", job).returncode == 137
    record = gravscope.record(job)
    assert (record["state"], record["enforcement"], record["signal"]) == ("oom-killed", "watch", signal.SIGKILL)
    assert record["reason"].startswith("killed by gravscope's watch, not by the kernel: ")
    assert record["peak_memory"] > 64 << 20
    assert "gravscope's watch" in gravscope("show", job).stdout


@pytest.mark.slow
def test_the_watch_counts_shared_pages_once(gravscope: Gravscope) -> None:
    """A pool of forked workers that share 50 MiB is not taken for five times as much."""
    script = f"{HOG.replace('time.sleep(1000)', '')}{POOL}; print('forked', flush=True); time.sleep(1000)"
    job = gravscope.start("-n", "pool", "--mem-max", "128M", "--", sys.executable, "-c", script, "50")
    assert gravscope("wait", job, "--ready", "forked").returncode == 0
    supervisor = gravscope.record(job)["supervisor_pid"]
    resident = until(lambda: sum(map(proc.resident, proc.descendants(supervisor))), "its memory")
    assert resident > 128 << 20, "counted for each, the pages would be too many"
    with pytest.raises(AssertionError):
        until(lambda: gravscope.record(job)["ended"], "an end that must not come", patience=2)


@pytest.mark.slow
def test_timeout(gravscope: Gravscope) -> None:
    """A job that outlasts its timeout is ended by SIGTERM, after the grace period by SIGKILL, and is timed-out."""
    script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
    # long enough for the shell to have become deaf
    job = gravscope.start("-n", "slow", "--timeout", "2s", "--grace", "0.3s", "--", "bash", "-c", script)
    record = gravscope.ended(job)
    assert (record["state"], record["signal"]) == ("timed-out", signal.SIGKILL)
    assert record["reason"] == "ended by its timeout of 2 s (ended by SIGKILL)"
    assert gravscope("wait", job).returncode == 137


def test_only_the_supervisor_stays_beside_the_job(gravscope: Gravscope) -> None:
    """Nothing but the supervisor runs beside the job: no shell, no nohup, no second Python."""
    job = gravscope.start("-n", "alone", "--", "sleep", "100")
    record = gravscope.record(job)
    in_session = [
        found.pid
        for name in os.listdir("/proc")
        if name.isdigit() and (found := proc.stat(int(name))) and found.session == record["supervisor_pid"]
    ]
    assert sorted(in_session) == sorted([record["supervisor_pid"], record["pid"]])
