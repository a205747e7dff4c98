"""`run --notify`: each recipient is notified once, the address is not visible, and failures change no outcome."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gravscope.actions.look.settle import NOT_NOTIFIED
from gravscope.records import model, spec
from tests.support import PATIENCE, REPOSITORY, Gravscope, ManagedGravscope, alive, until
from tests.webhook import SECRET, Receiver, serving


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A webhook receiver that accepts everything."""
    yield from serving(Receiver())


def told(receiver: Receiver) -> dict[str, str]:
    """An environment in which jobs notify this webhook."""
    return {"GRAVSCOPE_NOTIFY_WEBHOOK": receiver.address, "no_proxy": "*"}


def notified(gravscope: Gravscope, job: str) -> list[dict[str, Any]]:
    """The field `notified` of the record, waited for."""
    found: list[dict[str, Any]] = until(lambda: gravscope.record(job)["notified"], f"the note in {job}")
    return found


def stripped(record: dict[str, Any]) -> dict[str, Any]:
    """The part of a record that is about the outcome."""
    return {name: record[name] for name in ("state", "reason", "exit_code", "signal")}


@pytest.mark.slow
def test_one_post_per_job_long_after_the_command_line_is_gone(gravscope: Gravscope, webhook: Receiver) -> None:
    """Success, failure and cancel are each sent once, with name, state, time, host and reason, after the CLI's end."""
    go = gravscope.folder / "go"
    until_go = f"until [ -e {go} ]; do sleep 0.05; done"
    jobs = {
        name: gravscope.start("-n", name, "--notify", "--", "bash", "-c", f"{until_go}; {end}", env=told(webhook))
        for name, end in (("good", "exit 0"), ("bad", "exit 7"), ("nap", "sleep 1000"))
    }
    assert webhook.got == [], "gravscope run has ended, and no job has"
    go.touch()
    for name in ("good", "bad"):
        gravscope.ended(jobs[name])
    assert gravscope("cancel", jobs["nap"]).returncode == 0
    for job in jobs.values():
        (entry,) = notified(gravscope, job)
        assert (entry["channel"], entry["error"]) == ("webhook", None)
    assert [(path, kind) for path, kind, _ in webhook.got] == [(SECRET, "application/json")] * 3
    good, bad, nap = sorted(webhook.texts(), key=lambda text: ["good", "bad", "nap"].index(text.split()[1]))
    host = socket.gethostname()
    assert good.startswith("gravscope: good succeeded after ")
    assert bad.startswith("gravscope: bad failed (exit status 7) after ")
    assert good.endswith(f"s on {host}")
    assert bad.endswith(f"s on {host}")
    assert nap.startswith("gravscope: nap cancelled (SIGTERM) after ")
    assert "cancelled on request by SIGTERM" in nap
    shown = gravscope("show", jobs["bad"]).stdout
    assert "webhook told 2" in shown
    names = sorted(f"{job}.json" for job in jobs.values())
    until(lambda: sorted(os.listdir(gravscope.jobs_dir)) == names, "a folder with records alone")


def test_without_the_option_nobody_is_told(gravscope: Gravscope, webhook: Receiver) -> None:
    """Configured recipients are notified only of jobs that were started with --notify."""
    quiet = gravscope.start("--", "true", env=told(webhook))
    assert gravscope.ended(quiet)["notify"] is False
    loud = gravscope.start("--notify", "--", "true", env=told(webhook))
    notified(gravscope, loud)
    assert len(webhook.got) == 1
    assert gravscope.record(quiet)["notified"] == []


def test_what_never_started_is_told_too(gravscope: Gravscope, webhook: Receiver) -> None:
    """A command does not exist: the job has ended, and the notification is sent."""
    assert gravscope("run", "-n", "typo", "--notify", "--", "no-such-command", env=told(webhook)).returncode == 2
    until(lambda: webhook.got, "the message")
    assert webhook.texts()[0].startswith("gravscope: typo never-started on ")
    assert webhook.texts()[0].endswith(": command not found: no-such-command")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", "HTTP status 500"),
        ("302", "HTTP status 302"),
        ("refused", "Connection refused"),
        ("hanging", "no answer within 0.5 s"),
        ("unknown", "the name of its host is not known"),
    ],
)
def test_a_failing_webhook_leaves_the_outcome_and_is_noted(gravscope: Gravscope, kind: str, error: str) -> None:
    """Errors, redirections, no server, no answer: at most one POST, the usual outcome, and a note in the record."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but does not listen
        receiver = Receiver(int(kind)) if kind.isdigit() else Receiver(0)
        addresses = {
            "refused": f"http://127.0.0.1:{unused.getsockname()[1]}{SECRET}",
            "unknown": f"http://host.invalid{SECRET}",
        }
        # half a second may not be enough on a busy machine, so receivers that answer have more time
        _give_time(gravscope, 0.5 if kind == "hanging" else PATIENCE)
        address = addresses.get(kind, receiver.address)
        env = {**told(receiver), "GRAVSCOPE_NOTIFY_WEBHOOK": address}
        job = gravscope.start("--notify", "--", "sh", "-c", "exit 3", env=env)
        (entry,) = notified(gravscope, job)
        record = gravscope.record(job)
    assert entry["error"] == error
    assert stripped(record) == {"state": "failed", "reason": "exit status 3", "exit_code": 3, "signal": None}
    until(lambda: len(receiver.got) == (kind not in addresses), "what reached the receiver")
    assert f"webhook could not be told {entry['at'][:10]}" in gravscope("show", job).stdout
    model.JobRecord(**{**record, "limits": spec.Limits()})
    list(serving(receiver))


def _set_in_notify(gravscope: Gravscope, statement: str) -> None:
    """Runs this `gravscope` with a name of `gravscope.notify.notify` set to something else, for the jobs it starts."""
    code = (
        f"import sys; from gravscope.notify import notify; {statement}; sys.argv[0] = 'gravscope'; "
        "from gravscope.cli import main; main()"
    )
    gravscope.command = (sys.executable, "-c", code)  # type: ignore[assignment]


def _give_time(gravscope: Gravscope, seconds: float) -> None:
    """Gives recipients so many seconds to answer, in the jobs of this `gravscope`."""
    _set_in_notify(gravscope, f"notify.PATIENCE = {seconds}")


@pytest.mark.parametrize("program", ["actions/notifier.py", "notify/__main__.py"])
def test_every_place_of_the_notifier_still_works(gravscope: Gravscope, webhook: Receiver, program: str) -> None:
    """A supervisor is handed the path of the notifier: where a version had it, a later one has it too."""
    _set_in_notify(gravscope, f"notify.PROGRAM = {str(REPOSITORY / 'gravscope' / program)!r}")
    job = gravscope.start("--notify", "--", "true", env=told(webhook))
    (entry,) = notified(gravscope, job)
    assert (entry["channel"], entry["error"]) == ("webhook", None)
    assert len(webhook.got) == 1


def test_a_hanging_webhook_keeps_nobody_waiting(gravscope: Gravscope) -> None:
    """`wait` and `cancel` return, and no process of the job is left, although its webhook has not answered yet."""
    receiver = Receiver(0)
    _give_time(gravscope, PATIENCE)
    nap = gravscope.start("--notify", "--", "sleep", "1000", env=told(receiver))
    assert gravscope("cancel", nap).returncode == 0
    assert gravscope("wait", nap).returncode == 143
    record = gravscope.record(nap)
    assert record["state"] == "cancelled"
    until(lambda: not alive(record["supervisor_pid"]), "the end of its supervisor, which has written its end")
    until(lambda: receiver.got, "the message")
    assert record["notified"] == gravscope.record(nap)["notified"] == []
    (notifier,) = _processes(b"notify/__main__.py", nap.encode())
    assert not (gravscope.jobs_dir / f"{nap}.lock").exists()
    # a record that is removed meanwhile is not written again
    (gravscope.jobs_dir / f"{nap}.json").unlink()
    list(serving(receiver))
    until(lambda: not alive(notifier), "the end of the notifier")
    assert os.listdir(gravscope.jobs_dir) == []


def _processes(*words: bytes) -> list[int]:
    """The pids of processes whose command lines contain all these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if all(word in line for word in words):
            found.append(int(path.parent.name))
    return found


def test_the_address_is_nowhere(gravscope: Gravscope) -> None:
    """Not in records, logs, output, command lines, or the job's own environment."""
    receiver = Receiver(0)
    _give_time(gravscope, PATIENCE)
    job = gravscope.start("--notify", "--", "bash", "-c", "env; cat /proc/*/cmdline | tr '\\0' ' '", env=told(receiver))
    gravscope.ended(job)
    until(lambda: receiver.got, "the message")
    assert _processes(b"notify/__main__.py", job.encode()), "it is at it"
    assert _processes(SECRET.encode()) == []
    printed = [gravscope(*words, env=told(receiver)) for words in (("show", job), ("config",), ("status", "--json"))]
    assert all(done.returncode == 0 for done in printed)
    list(serving(receiver))
    notified(gravscope, job)
    until(lambda: not _processes(b"notify/__main__.py", job.encode()), "the end of the notifier, and of its lock")
    files = [path for path in gravscope.folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for text in [*(path.read_bytes() for path in files), *((done.stdout + done.stderr).encode() for done in printed)]:
        assert b"hushhush" not in text
    assert "GRAVSCOPE_INVOCATION_ID" in gravscope.log(job), "the job has shown its environment"


def test_desktop_and_command_beside_a_webhook(gravscope: Gravscope, webhook: Receiver) -> None:
    """Set in a file's table; notify-send gets the launch's display, the command gets the message in variables."""
    tools = gravscope.folder / "tools"
    tools.mkdir()
    stub = tools / "notify-send"
    stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$DISPLAY" "$@" >{gravscope.folder}/desktop\nexit 4\n')
    stub.chmod(0o755)
    out = gravscope.folder / "command"
    words = '"$GRAVSCOPE_JOB_ID $GRAVSCOPE_NAME $GRAVSCOPE_STATE $GRAVSCOPE_EXIT_CODE $GRAVSCOPE_MESSAGE"'
    (gravscope.folder / "gravscope.toml").write_text(
        f"[notify]\ndesktop = true\ncommand = '''echo {words} >{out}; env >>{out}'''\nwebhook = '{webhook.address}'\n"
    )
    env = {"PATH": f"{tools}:{gravscope.environ['PATH']}", "DISPLAY": ":77", "no_proxy": "*"}
    job = gravscope.start("-n", "fit", "--notify", "--", "sh", "-c", "exit 3", env=env)
    entries = {entry["channel"]: entry["error"] for entry in notified(gravscope, job)}
    assert entries == {"desktop": "exit status 4", "webhook": None, "command": None}
    display, *said = (gravscope.folder / "desktop").read_text().splitlines()
    assert display == ":77"
    assert said[:4] == ["--app-name=gravscope", "--urgency=critical", "--", "gravscope: fit failed"]
    assert said[4].startswith("(exit status 3) after ")
    first, *environ = out.read_text().splitlines()
    assert first.startswith(f"{job} fit failed 3 gravscope: fit failed (exit status 3) after ")
    assert webhook.texts() == [first.partition(" 3 ")[2]]
    assert not [line for line in environ if "hushhush" in line]


def test_the_desktop_if_nothing_is_set_and_no_desktop_is_an_error_of_its_own(gravscope: Gravscope) -> None:
    """--notify alone means notify-send; if that does not exist, the record says so, and the job has succeeded."""
    path = gravscope.folder / "bin"
    path.mkdir()
    for tool in ("setsid", "nohup", "true", "sh"):
        (path / tool).symlink_to(shutil.which(tool) or "")
    job = gravscope.start("--notify", "--", "true", env={"PATH": str(path)})
    (entry,) = notified(gravscope, job)
    assert (entry["channel"], entry["error"]) == ("desktop", "notify-send: No such file or directory")
    assert gravscope.record(job)["state"] == "succeeded"


def test_gravscope_may_be_gone_by_then(gravscope: Gravscope, webhook: Receiver) -> None:
    """If gravscope was deleted meanwhile, nobody is notified, the record says so, and the outcome is the command's."""
    copy = gravscope.folder / "copy"
    shutil.copytree(REPOSITORY / "gravscope", copy / "gravscope")
    go = gravscope.folder / "go"
    env = {**told(webhook), "PYTHONPATH": str(copy)}
    job = gravscope.start("--notify", "--", "bash", "-c", f"until [ -e {go} ]; do sleep 0.05; done; exit 5", env=env)
    shutil.rmtree(copy)
    go.touch()
    record = gravscope.ended(job)
    (entry,) = notified(gravscope, job)
    assert (record["state"], record["exit_code"]) == ("failed", 5)
    assert entry["error"] == f"{copy}/gravscope/notify/__main__.py: No such file or directory"
    assert webhook.got == []


def test_in_the_foreground(gravscope: Gravscope, webhook: Receiver) -> None:
    """`run --fg --notify` ends like its command, and its webhook gets one message with that outcome."""
    done = gravscope("run", "--fg", "-n", "front", "--notify", "--", "sh", "-c", "echo out; exit 7", env=told(webhook))
    assert (done.returncode, done.stdout) == (7, "out\n")
    (record,) = gravscope.records()
    (entry,) = notified(gravscope, record["id"])
    assert (record["foreground"], entry["channel"], entry["error"]) == (True, "webhook", None)
    (text,) = webhook.texts()
    assert text.startswith("gravscope: front failed (exit status 7) after ")


def test_without_its_supervisor_nobody_is_told_and_the_record_says_so(gravscope: Gravscope, webhook: Receiver) -> None:
    """After SIGKILL for the supervisor the record says at once, and once, that nobody will be notified. That stays so
    at the end, and `show` prints it. A job without --notify has no such line."""
    go = gravscope.folder / "go"
    words = ("--", "bash", "-c", f"until [ -e {go} ]; do sleep 0.05; done; exit 3")
    loud = gravscope.start("-n", "loud", "--notify", *words, env=told(webhook))
    quiet = gravscope.start("-n", "quiet", *words, env=told(webhook))
    for job in (loud, quiet):
        _kill(gravscope.record(job)["supervisor_pid"])
    assert gravscope("status").returncode == 0
    assert (gravscope.record(loud)["state"], NOT_NOTIFIED in gravscope.record(loud)["warnings"]) == ("running", True)
    go.touch()
    commands = [gravscope.record(job)["pid"] for job in (loud, quiet)]
    until(lambda: not any(map(alive, commands)), "the end of both commands")
    assert (NOT_NOTIFIED in gravscope("show", loud).stdout, NOT_NOTIFIED in gravscope("show", quiet).stdout) == (
        True,
        False,
    )
    record = gravscope.record(loud)
    assert (record["state"], record["notify"], record["notified"]) == ("lost", True, [])
    assert record["warnings"].count(NOT_NOTIFIED) == 1
    assert NOT_NOTIFIED not in gravscope.record(quiet)["warnings"]
    assert webhook.got == []


def test_a_supervisor_that_is_gone_with_its_job(gravscope: Gravscope, webhook: Receiver) -> None:
    """Both are killed at once, as by a crash: the first command that looks writes that nobody was notified."""
    job = gravscope.start("--notify", "--", "sleep", "1000", env=told(webhook))
    record = gravscope.record(job)
    _kill(record["supervisor_pid"])
    _kill(record["pid"])
    assert NOT_NOTIFIED in gravscope("show", job).stdout
    record = gravscope.record(job)
    assert (record["state"], record["warnings"].count(NOT_NOTIFIED), record["notified"]) == ("lost", 1, [])
    assert webhook.got == []


def _kill(pid: int) -> None:
    """Kills a process, and returns when it has ended."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), f"the end of {pid}")


def test_run_again_is_told_again(gravscope: Gravscope, webhook: Receiver) -> None:
    """`rerun` of a job with --notify notifies again, with the present settings."""
    first = gravscope.start("-n", "fit", "--notify", "--", "true", env=told(webhook))
    notified(gravscope, first)
    done = gravscope("rerun", first, env=told(webhook))
    assert done.returncode == 0, done.stderr
    notified(gravscope, done.stdout.strip())
    assert len(webhook.got) == 2
    assert len(notified(gravscope, first)) == 1
    assert gravscope.record(first)["rerun_as"] == [done.stdout.strip()]


def test_in_a_scope(managed: ManagedGravscope) -> None:
    """A scope is removed when its webhook has answered; a cancel does not wait for that."""
    receiver = Receiver(0)
    nap = managed.start("--notify", "--", "sleep", "1000", env=told(receiver))
    unit = managed.record(nap)["unit"]
    assert managed("cancel", nap).returncode == 0
    until(lambda: receiver.got, "the message")
    assert managed.record(nap)["state"] == "cancelled"
    list(serving(receiver))
    until(lambda: unit not in managed.systemctl("list-units", "--all", "--plain").stdout, "the end of the unit")
    assert len(receiver.got) == 1
