"""Notifies the desktop, a webhook or a command that a job has ended, and writes the result into the job's record.

It imports the standard library only: the supervisor starts it without the path on which other packages are installed.
The record that it changes is final and has its outcome; a failure here is only noted in it.
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

# seconds more, so that a channel that reaches its own time limit can still report that
SLACK = 0.5
# characters of each part of a message: chats do not accept longer messages
MAX_LENGTH = 3000
WEBHOOK_VARIABLE = "GRAVSCOPE_NOTIFY_WEBHOOK"
# seconds to wait for another process that holds the job's lock
PATIENCE = 5.0
# fields that identify the record of this job
_IDENTITY = ("id", "invocation_id", "ended")

NotifyRequest = dict[str, Any]


def main() -> None:
    """Sends all notifications at the same time, writes down the results, and ends, even if one has not answered."""
    request: NotifyRequest = marshal.load(sys.stdin.buffer)  # noqa: S302 (written by our own supervisor)
    os.setsid()
    record_results(request, notify_all(request))
    os._exit(0)  # does not wait for threads, one of which may still wait for a name server


def notify_all(request: NotifyRequest) -> list[dict[str, str | None]]:
    """Sends all notifications. Returns the results as they go into the record."""
    told: dict[str, str | None] = {}
    patience = float(request["patience"])

    def send(channel: str, target: object) -> None:
        try:
            told[channel] = CHANNELS[channel](target, request["record"], patience)
        except Exception as error:
            told[channel] = _describe(error, patience)

    threads = {
        channel: threading.Thread(target=send, args=(channel, target), daemon=True)
        for channel, target in request["whom"].items()
        if target
    }
    deadline = time.monotonic() + patience + SLACK
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return [{"channel": name, "at": now, "error": told.get(name, _timed_out(patience))} for name in threads]


def message(record: Mapping[str, Any]) -> tuple[str, str]:
    """The message in two parts: first the job's name and state, then exit status, duration, host and reason."""
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
    """`text` as one line, without secrets and without control characters that a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in redact_text(text))[:MAX_LENGTH].strip()


# the channels: each returns None on success, else the error


def _desktop(_asked: object, record: Mapping[str, Any], patience: float) -> str | None:
    head, rest = message(record)
    urgency = "normal" if record["state"] in ("succeeded", "cancelled") else "critical"
    words = ["notify-send", "--app-name=gravscope", f"--urgency={urgency}", "--", head, _escaped(rest)]
    return _run(words, {}, patience)


def _webhook(address: object, record: Mapping[str, Any], patience: float) -> str | None:
    text = _escaped(" ".join(message(record)))  # as Slack requires: <!channel> in a reason would notify everybody
    request = urllib.request.Request(  # noqa: S310 (the setting is checked to be http or https)
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
    """Follows no redirection, so that the message is sent only to the configured address, and only once."""

    def redirect_request(self, *_asked: object) -> None:
        """Returns None, so that the status is reported like any other error."""


def _escaped(text: str) -> str:
    """`text` escaped for receivers that interpret markup: chats and notification servers."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _run(words: list[str], variables: Mapping[str, str], patience: float) -> str | None:
    """Runs a program. If it does not end in time, kills it together with the processes that it has started."""
    environ = {name: value for name, value in os.environ.items() if name != WEBHOOK_VARIABLE}
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        words, env={**environ, **variables}, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        status = child.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return _timed_out(patience)
    return None if status == 0 else f"exit status {status}" if status > 0 else f"ended by {signal_name(-status)}"


def _timed_out(patience: float) -> str:
    return f"no answer within {patience:g} s"


def _describe(error: Exception, patience: float) -> str:
    """The error in our own words, because messages of libraries contain the address or parts of it."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return _timed_out(patience)
    if isinstance(cause, socket.gaierror):
        return "the name of its host is not known"
    if type(cause).__name__.startswith("SSL"):
        return f"TLS: {getattr(cause, 'reason', None) or type(cause).__name__}"
    if isinstance(cause, OSError) and cause.errno:
        what = f"{cause.filename}: " if isinstance(cause.filename, str) else ""
        return f"{what}{os.strerror(cause.errno)}"
    return type(cause).__name__


def record_results(request: NotifyRequest, entries: list[dict[str, str | None]]) -> None:
    """Adds the results to the record. A record that has been removed by now is not written again.

    The job's lock is held meanwhile, as by all code that changes or removes the record of a job that has ended
    (`gravscope.actions.look.ended`).
    """
    path, told = request["record_path"], request["record"]
    try:
        descriptor = _take_lock(request["lock_path"])
        if descriptor is None:
            return
        try:
            record = json.loads(files.read_whole(path))
            if (record["id"], record["invocation_id"], record["ended"]) == tuple(told[each] for each in _IDENTITY):
                record["notified"] = [*record.get("notified", []), *entries]
                text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
                files.write_atomically(path, text.encode("utf-8", "replace"))
        finally:
            os.unlink(request["lock_path"])
            os.close(descriptor)
    except (OSError, ValueError, KeyError, TypeError):
        return  # the disk is full, or the record was changed by hand: the note is not important enough to fail


def _take_lock(lock_path: str) -> int | None:
    """Takes the lock of a job that has ended; None if another process keeps it. Each holder removes the file."""
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
