"""Tells the desktop, a webhook or a command that a job has ended, and notes in its record that it has.

Standard library only, for it is started by the supervisor long after whoever had the rest on their path is gone. It
writes to a record that has ended and that nobody else writes any more; all that a failure of it leaves is that note.
"""

from __future__ import annotations

import json
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gravscope.base.quantity import format_duration
from gravscope.base.redact import redact_text
from gravscope.linux import files
from gravscope.records.outcome import signal_name

# seconds more for those who keep to the time that they were given to say that it is over
SLACK = 0.5
# characters of a message: a chat takes no more in one piece
LONGEST = 3000
ADDRESS = "GRAVSCOPE_NOTIFY_WEBHOOK"
# seconds that whoever writes the record at the same time may take
PATIENCE = 5.0
# what tells the record of this very job
_SAME = ("id", "invocation_id", "ended")

Handed = dict[str, Any]


def main() -> None:
    """Tells everybody that is to be told, each at the same time, and ends, whoever has not answered by then."""
    handed: Handed = marshal.load(sys.stdin.buffer)  # noqa: S302 (written by our own supervisor, in a file with no name)
    os.setsid()
    note(handed, notify_all(handed))
    os._exit(0)  # a thread that waits for a name server takes nobody's time any more


def notify_all(handed: Handed) -> list[dict[str, str | None]]:
    """What became of each, as the record takes it."""
    told: dict[str, str | None] = {}
    patience = float(handed["patience"])

    def one(channel: str, target: object) -> None:
        try:
            told[channel] = CHANNELS[channel](target, handed["record"], patience)
        except Exception as error:
            told[channel] = _why(error, patience)

    threads = {
        channel: threading.Thread(target=one, args=(channel, target), daemon=True)
        for channel, target in handed["whom"].items()
        if target
    }
    deadline = time.monotonic() + patience + SLACK
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return [{"channel": name, "at": now, "error": told.get(name, _late(patience))} for name in threads]


def message(record: Mapping[str, Any]) -> tuple[str, str]:
    """The message in two parts, the first of which says the most: what ended in which state, and then the rest."""
    code, number = record["exit_code"], record["signal"]
    how = f"exit status {code}" if code is not None else "" if number is None else signal_name(number)
    words = [f"({how})"] if how and record["state"] != "succeeded" else []
    if record["duration"] is not None:
        words.append(f"after {format_duration(record['duration'])}")
    if record["host"]:
        words.append(f"on {record['host']}")
    reason = record["reason"]
    why = f": {reason}" if reason and reason != how else ""
    return _line(f"gravscope: {record['name']} {record['state']}"), _line(" ".join(words) + why)


def _line(text: str) -> str:
    """One line, without secrets, and with nothing in it that tells anybody's screen to do anything."""
    return "".join(each if each.isprintable() else " " for each in redact_text(text))[:LONGEST].strip()


# how: each returns why it was in vain, or None


def _desktop(_asked: object, record: Mapping[str, Any], patience: float) -> str | None:
    head, rest = message(record)
    urgency = "normal" if record["state"] in ("succeeded", "cancelled") else "critical"
    words = ["notify-send", "--app-name=gravscope", f"--urgency={urgency}", "--", head, _escaped(rest)]
    return _run(words, {}, patience)


def _webhook(address: object, record: Mapping[str, Any], patience: float) -> str | None:
    text = _escaped(" ".join(message(record)))  # as Slack wants it: <!channel> in a reason would call everybody
    request = urllib.request.Request(  # noqa: S310 (http or https, as the setting is checked)
        str(address),
        data=json.dumps({"text": text}).encode("ascii"),
        headers={"Content-Type": "application/json", "User-Agent": "gravscope"},
        method="POST",
    )
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=patience):
        return None


def _command(command: object, record: Mapping[str, Any], patience: float) -> str | None:
    told = {
        "GRAVSCOPE_JOB_ID": record["id"],
        "GRAVSCOPE_NAME": record["name"],
        "GRAVSCOPE_STATE": record["state"],
        "GRAVSCOPE_EXIT_CODE": "" if record["exit_code"] is None else str(record["exit_code"]),
        "GRAVSCOPE_MESSAGE": " ".join(message(record)),
    }
    return _run(["/bin/sh", "-c", str(command)], told, patience)


CHANNELS: dict[str, Callable[[object, Mapping[str, Any], float], str | None]] = {
    "desktop": _desktop,
    "webhook": _webhook,
    "command": _command,
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is meant for one address is sent to no other, and only once."""

    def redirect_request(self, *_asked: object) -> None:
        """Leaves it at that: the status is then an error as any other."""


def _escaped(text: str) -> str:
    """For those who take a text for markup: chats, and notification servers."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _run(words: list[str], variables: Mapping[str, str], patience: float) -> str | None:
    """Runs a program that is to end in time, and is ended otherwise, with all that it has started."""
    environ = {name: value for name, value in os.environ.items() if name != ADDRESS}
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        words, env={**environ, **variables}, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        status = child.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return _late(patience)
    return None if status == 0 else f"exit status {status}" if status > 0 else f"ended by {signal_name(-status)}"


def _late(patience: float) -> str:
    return f"no answer within {patience:g} s"


def _why(error: Exception, patience: float) -> str:
    """The error in words of our own: those of others hold the address, or parts of it."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return _late(patience)
    if isinstance(cause, socket.gaierror):
        return "the name of its host is not known"
    if type(cause).__name__.startswith("SSL"):
        return f"TLS: {getattr(cause, 'reason', None) or type(cause).__name__}"
    if isinstance(cause, OSError) and cause.errno:
        what = f"{cause.filename}: " if isinstance(cause.filename, str) else ""
        return f"{what}{os.strerror(cause.errno)}"
    return type(cause).__name__


def note(handed: Handed, entries: list[dict[str, str | None]]) -> None:
    """Takes what became of it into the record, holding the job's lock as all do who write a record that has ended, or
    remove it (`gravscope.actions.look.ended`): a record that is gone by now is not made anew."""
    path, told = handed["record_path"], handed["record"]
    try:
        descriptor = _hold(handed["lock_path"])
        if descriptor is None:
            return
        try:
            record = json.loads(files.read_whole(path))
            if (record["id"], record["invocation_id"], record["ended"]) == tuple(told[each] for each in _SAME):
                record["notified"] = [*record.get("notified", []), *entries]
                text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
                files.write_atomically(path, text.encode("utf-8", "replace"))
        finally:
            os.unlink(handed["lock_path"])
            os.close(descriptor)
    except (OSError, ValueError, KeyError, TypeError):
        return  # a full disk, or somebody's hand: it is only a note


def _hold(lock_path: str) -> int | None:
    """The lock of a job that has ended, which whoever leaves it removes; None if somebody keeps it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = files.open_as(lock_path, flags)
        while not (taken := files.try_lock(descriptor)) and time.monotonic() < deadline:
            time.sleep(0.01)
        if taken and _is_at(lock_path, descriptor):
            return descriptor
        os.close(descriptor)
        if not taken:
            return None


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
