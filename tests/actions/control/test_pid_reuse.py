"""Recycled pids and other boots: only the job is signalled, and the message says why.

The pids are really recycled: `pid_reuse.py` runs as the first process of its own PID namespace, where the next pid can
be chosen (pid_namespaces(7)). The boot id really differs, by a mount over it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needing
from tests.support import REPOSITORY, Gravscope, alive, until

DRIVER = Path(__file__).with_name("pid_reuse.py")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@pytest.fixture(scope="module")
@needing("mount")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The output of the driver, case by case."""
    tool = Gravscope(tmp_path_factory.mktemp("reuse"))
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, str(DRIVER)]
    done = subprocess.run(
        [*command, str(tool.folder)],
        env={**tool.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


CASES = ("all gone", "supervisor gone", "command gone", "both gone, a child left", "status first")


@pytest.mark.parametrize("case", CASES)
def test_the_innocent_lives(seen: dict[str, Any], case: str) -> None:
    """A process that got a pid of the job, as process, group leader or session leader, gets no signal."""
    found = seen[case]
    assert found["innocents"]
    for innocent in found["innocents"]:
        assert innocent["pid"] == innocent["wanted"] == innocent["pgid"], "the number was not recycled"
        assert innocent["alive"]
        assert innocent["signals"] == []


def test_cancel_of_what_is_gone_says_so(seen: dict[str, Any]) -> None:
    """Both pids recycled: cancel signals nothing and says why; the record is lost and has no exit status."""
    found = seen["all gone"]
    (done,) = found["commands"]
    assert done["status"] == 0
    assert done["out"].endswith(
        "had already ended: lost: its supervisor was gone before it ended; how it ended is not known;"
        " nothing was signalled\n"
    )
    record = found["record"]
    assert (record["state"], record["exit_code"], record["signal"], record["cancel"]) == ("lost", None, None, None)


def test_every_other_verb_lets_it_be(seen: dict[str, Any]) -> None:
    """status, pause, resume, limit, logs and wait of such a job: refused, or reported as lost; never a success."""
    found = {done["words"][0]: done for done in seen["status first"]["commands"]}
    assert json.loads(found["status"]["out"])[0]["state"] == "lost"
    for verb in ("pause", "resume", "limit"):
        assert found[verb]["status"] == 4, found[verb]
        assert "has ended: lost" in found[verb]["err"]
    assert found["wait"]["status"] == 1


def test_the_job_of_a_supervisor_that_is_gone(seen: dict[str, Any]) -> None:
    """Without its supervisor the job is shown as running, commands that need the supervisor are refused, and it can be
    cancelled. A second cancel, after the pids were recycled, finds it cancelled."""
    found = seen["supervisor gone"]
    shown, paused, cancelled, again = found["commands"]
    (record,) = json.loads(shown["out"])
    assert (record["state"], "its supervisor is gone" in record["warnings"][0]) == ("running", True)
    assert paused["status"] == 4
    assert "has no supervisor" in paused["err"]
    assert cancelled["status"] == again["status"] == 0
    assert again["out"].endswith("had already ended: cancelled\n")
    assert found["left"] == []
    assert (found["record"]["state"], found["record"]["exit_code"]) == ("cancelled", None)


@pytest.mark.parametrize("case", ["command gone", "both gone, a child left"])
def test_what_is_left_of_the_job_is_ended(seen: dict[str, Any], case: str) -> None:
    """The command's pid and group are another's, and a child of it in its own group lives on: that child is ended, with
    and without a supervisor."""
    found = seen[case]
    assert found["commands"][-1]["status"] == 0
    assert found["left"] == []
    assert found["record"]["state"] == "cancelled"
    # The command itself had ended before.
    assert found["record"]["exit_code"] == (0 if case == "command gone" else None)


@pytest.fixture
@needing("mount")
def other_boot(tmp_path: Path) -> Iterator[list[str]]:
    """The words to put before a command so that it sees another boot id."""
    boot = tmp_path / "boot_id"
    boot.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    script = f'mount --bind {boot} {BOOT_ID} && exec "$@"'
    yield ["unshare", "--mount", "sh", "-c", script, "sh"]


def on(gravscope: Gravscope, before: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    """`gravscope WORDS…` after other words."""
    command = [*before, *gravscope.command, *words]
    return subprocess.run(command, env=gravscope.environ, capture_output=True, text=True, check=False)


def test_after_a_reboot(gravscope: Gravscope, other_boot: list[str]) -> None:
    """A process that matches the record in all but the boot id is not the job's: the job is lost, no signal is sent."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    record = gravscope.record(job)
    os.kill(record["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(record["supervisor_pid"]), "the end of the supervisor")
    done = on(gravscope, other_boot, "cancel", job)
    assert done.returncode == 0
    assert "had already ended: lost: the machine was restarted while it ran" in done.stdout
    assert "nothing was signalled" in done.stdout
    (shown,) = json.loads(on(gravscope, other_boot, "status", "--json").stdout)
    assert (shown["state"], shown["exit_code"], shown["memory_now"]) == ("lost", None, None)
    assert alive(record["pid"])
    os.kill(record["pid"], signal.SIGKILL)


def test_of_another_boot_and_yet_somebody_holds_it(gravscope: Gravscope, other_boot: list[str]) -> None:
    """If a supervisor that cannot be the job's holds the lock, cancel, pause and limit refuse and change nothing."""
    job = gravscope.start("-n", "x", "--", "sleep", "1000")
    before = gravscope.record(job)
    for words in (("cancel", job), ("pause", job), ("limit", job, "--mem-max", "1G", "--force")):
        done = on(gravscope, other_boot, *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1), done
    assert gravscope.record(job) == before
    assert alive(before["pid"])
    assert sorted(path.name for path in gravscope.jobs_dir.iterdir() if path.suffix == ".cancel") == []
    assert gravscope("cancel", job).stdout == f"{job}: cancelled by SIGTERM to the process group\n"
