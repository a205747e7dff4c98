"""The supervisor is killed and the job lives: it runs on, is shown so, can be ended, and its end is never guessed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import Gravscope, ManagedGravscope, alive, until

GONE = "its supervisor is gone; it still runs, and how it ends will not be known for certain"


def widow(tool: Gravscope, job: str) -> dict[str, Any]:
    """The record of a job whose supervisor has just been killed."""
    record = tool.record(job)
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    return record


def shown(tool: Gravscope, job: str) -> dict[str, Any]:
    """The job as `status` shows it."""
    found: dict[str, Any] = json.loads(tool("status", "--json", job).stdout)[0]
    return found


def goes_on(tool: Gravscope) -> None:
    """A job runs on without its supervisor to its own end, which nobody sees."""
    go = tool.folder / "go"
    script = f"echo one; until [ -e {go} ]; do sleep 0.02; done; echo two; exit 0"
    job = tool.start("-n", "x", "--timeout", "1h", "--", "bash", "-c", script)
    assert tool("wait", job, "--ready", "one").returncode == 0
    widow(tool, job)
    found = shown(tool, job)
    assert (found["state"], found["ended"], found["exit_code"]) == ("running", None, None)
    assert found["warnings"] == [GONE, "without its supervisor nobody keeps its timeout"]
    assert " unsupervised " in tool("status").stdout
    assert tool("show", job).stdout.startswith(f"{job}: unsupervised\n")
    before = tool.record(job)
    assert shown(tool, job)["warnings"] == found["warnings"]
    assert tool.record(job) == before, "looking again changes nothing"
    for words in (("pause", job), ("resume", job), ("limit", job, "--mem-max", "1G")):
        done = tool(*words)
        assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
        assert f"all that can be done is: gravscope cancel {job}" in done.stderr
    assert tool("run", "-n", "x", "--unique", "--", "true").returncode == 4, "its name is still taken"
    assert tool("wait", job, "--timeout", "0.1s").returncode == 124
    go.touch()
    assert tool("wait", job).returncode == 1
    assert tool.log(job) == "one\ntwo\n"
    record = tool.record(job)
    assert (record["state"], record["exit_code"], record["signal"]) == ("lost", None, None)
    assert record["reason"] == "its supervisor was gone before it ended; how it ended is not known"
    assert record["warnings"][0] == "its supervisor was gone before it ended", "and no longer that it runs"
    assert [path.name for path in tool.jobs_dir.iterdir()] == [f"{job}.json"]


@pytest.mark.slow
def test_it_goes_on(gravscope: Gravscope) -> None:
    """In a session: it is running, logs, refuses commands that need a supervisor, and is lost at its end, never 0."""
    goes_on(gravscope)


def test_it_goes_on_in_a_scope(managed: ManagedGravscope) -> None:
    """The same in a scope."""
    goes_on(managed)


def cancelled(tool: Gravscope) -> None:
    """Cancel ends a job without a supervisor, and records only what is known."""
    job = tool.start("-n", "x", "--", "bash", "-c", "setsid sleep 1000 & (sleep 1001 &); echo ready; sleep 1002")
    assert tool("wait", job, "--ready", "ready").returncode == 0
    widow(tool, job)
    assert tool("cancel", job).returncode == 0
    record = tool.record(job)
    assert (record["state"], record["exit_code"], record["signal"]) == ("cancelled", None, None)
    assert record["reason"].endswith("(nobody saw its exit status)")
    assert not members(record["invocation_id"])


def members(invocation_id: str) -> list[int]:
    """The processes of the job, found by the environment that they were started with."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"GRAVSCOPE_INVOCATION_ID={invocation_id}" in Path(f"/proc/{name}/environ").read_text() and alive(
                int(name)
            ):
                found.append(int(name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def test_it_can_be_cancelled_in_a_scope(managed: ManagedGravscope) -> None:
    """Also with children that left its process group and session."""
    cancelled(managed)


def test_a_child_that_hides_its_environment(gravscope: Gravscope) -> None:
    """A child without the job's variables, in its own session and ignoring SIGTERM, is found through its parent, and is
    ended although the parent ends first."""
    pid_file = gravscope.folder / "pid"
    hidden = f'trap "" TERM; echo $$ >{pid_file}; while :; do sleep 0.05; done'
    script = f"env -i setsid sh -c '{hidden}' & until [ -s {pid_file} ]; do sleep 0.02; done; echo ready; sleep 1000"
    job = gravscope.start("-n", "x", "--", "bash", "-c", script)
    assert gravscope("wait", job, "--ready", "ready").returncode == 0
    pid = int(pid_file.read_text())
    assert f"GRAVSCOPE_JOB_ID={job}" not in Path(f"/proc/{pid}/environ").read_text()
    widow(gravscope, job)
    assert shown(gravscope, job)["state"] == "running"
    assert gravscope("cancel", job, "--grace", "0.2s").returncode == 0
    assert not alive(pid)
    assert gravscope.record(job)["state"] == "cancelled"


def test_nobody_holds_its_memory_limit(gravscope: Gravscope) -> None:
    """If the watch held the limit, the record no longer says that anything holds it."""
    job = gravscope.start("-n", "x", "--mem-max", "64M", "--", "sleep", "1000")
    assert gravscope.record(job)["enforcement"] == "watch"
    widow(gravscope, job)
    found = shown(gravscope, job)
    assert found["enforcement"] == "none"
    assert found["warnings"][-1] == "without its supervisor nobody keeps its memory limit"


def journal(managed: ManagedGravscope, *messages: dict[str, str]) -> dict[str, str]:
    """An environment whose `journalctl` has these messages, and records its arguments."""
    folder = managed.manager.new_folder("stub")
    lines = "\n".join(json.dumps(message) for message in messages)
    (folder / "lines").write_text(f"{lines}\n")
    (folder / "journalctl").write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\ncat {folder}/lines\n')
    (folder / "journalctl").chmod(0o755)
    return {"PATH": f"{folder}:{managed.manager.path}", "STUB": str(folder)}


OUT_OF_MEMORY = {"MESSAGE_ID": "fe6faa94e7774663a0da52717891d8ef"}
OOMD = {"MESSAGE_ID": "d989611b15e44c9dbf31e3c81256e4ed"}
RESULT = "d9b373ed55a64feb8242e02dbe79a49c"


LOST = "its supervisor was gone before it ended; how it ended is not known"
REPORTED = "the service manager reports oom-kill for its unit"
PROOFS = {
    "nothing": ([], "kill", "lost", LOST),
    "the kernel killed all of it": ([OUT_OF_MEMORY], "kill", "oom-killed", REPORTED),
    # Nobody knows how the other processes ended.
    "the kernel killed one of it": ([OUT_OF_MEMORY], "continue", "lost", LOST),
    "oomd": ([OOMD], "continue", "oom-killed", "killed by systemd-oomd: the machine was short of memory"),
    "the result": ([{"MESSAGE_ID": RESULT, "UNIT_RESULT": "oom-kill"}], "continue", "oom-killed", REPORTED),
    "another result": ([{"MESSAGE_ID": RESULT, "UNIT_RESULT": "timeout"}], "kill", "lost", LOST),
}


@pytest.mark.parametrize(("messages", "policy", "state", "reason"), PROOFS.values(), ids=PROOFS)
def test_what_the_journal_proves(
    managed: ManagedGravscope, messages: list[dict[str, str]], policy: str, state: str, reason: str
) -> None:
    """If the manager has forgotten the unit, only what it logged about the unit's end decides."""
    environ = journal(managed, *messages)
    job = managed.start("-n", "x", "--oom-policy", policy, "--", "sleep", "1000")
    record = widow(managed, job)
    os.kill(record["pid"], signal.SIGKILL)
    unit = record["unit"]
    until(lambda: "not-found" in managed.systemctl("show", "-P", "LoadState", unit).stdout, "the end of the unit")
    (found,) = json.loads(managed("status", "--json", job, env=environ).stdout)
    assert (found["state"], found["reason"], found["exit_code"], found["signal"]) == (state, reason, None, None)
    (asked,) = (Path(environ["STUB"]) / "asked").read_text().splitlines()
    boot = record["boot_id"].replace("-", "")
    assert {f"USER_UNIT={unit}", f"_UID={managed.manager.uid}", f"_BOOT_ID={boot}"} <= set(asked.split())
    assert managed("wait", job).returncode == (137 if state == "oom-killed" else 1)
