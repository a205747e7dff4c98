"""Sends the job's output and its events to the journal, in journald's native protocol.

See systemd.io/JOURNAL_NATIVE_PROTOCOL. `journalctl --user --user-unit UNIT` shows the entries. journald looks up the
sender's cgroup only when it reads an entry, and finds none if the sender has ended by then (systemd issue 2913). So
each entry names the unit in USER_UNIT=, which journalctl accepts from the user who owns the unit. The complete output
is in the log file, which the job writes itself. Output that is too fast for the journal is only there, and an entry
says so.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SOCKET = "/run/systemd/journal/socket"
# the kinds of entry; `journalctl MESSAGE_ID=…` finds them whatever their text is
STARTED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f101"
THROTTLED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f102"
OOM = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f103"
ENDED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f104"
SUPPRESSED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f105"
# syslog(3) priorities
WARNING, NOTICE, INFO = 4, 5, 6

# the most bytes and lines of the log that are sent at each sample (once a second); what exceeds them is only in the
# file. journald itself drops what exceeds 10,000 entries in 30 seconds (journald.conf(5), RateLimitBurst=).
MAX_BYTES, MAX_LINES = 1 << 18, 300
# bytes; a longer line is cut
MAX_LINE = 1 << 13
# seconds that sending an event waits for a busy journald
EVENT_PATIENCE = 1.0


class Journal:
    """Sends entries to the journal on behalf of the job. Does nothing where there is no journald."""

    def __init__(self, job_id: str, name: str, unit: str | None, log_fd: int | None) -> None:
        fields = f"SYSLOG_IDENTIFIER={name}\nGRAVSCOPE_JOB={job_id}\nGRAVSCOPE_NAME={name}\n"
        self.fields = (fields if unit is None else f"{fields}USER_UNIT={unit}\n").encode()
        self.log_fd = log_fd
        self.offset = 0
        self.rest = b""
        self.dropped = 0
        self.socket = _connect()

    def event(self, message_id: str, text: str, priority: int = NOTICE) -> None:
        """Sends an entry about the job."""
        self._send(text.encode("utf-8", "replace"), priority, message_id)

    def mirror(self, *, last: bool = False) -> None:
        """Sends what the job has written since the last call; with `last`, also a last line without a newline."""
        if self.socket is None or self.log_fd is None:
            return
        try:
            size = os.fstat(self.log_fd).st_size
            self.offset = min(self.offset, size)  # the log was truncated
            block = os.pread(self.log_fd, MAX_BYTES, self.offset)
        except OSError:
            return
        self._send_lines(block, size, last=last)

    def _send_lines(self, block: bytes, size: int, *, last: bool) -> None:
        *lines, rest = (self.rest + block).split(b"\n")
        self.rest = rest
        dropped = self.dropped
        for line in lines[:MAX_LINES]:
            self._send_line(line)
        flood = len(lines) > MAX_LINES or self.offset + len(block) < size
        if flood or self.dropped > dropped:
            self.event(SUPPRESSED, "too much output for the journal at this point; it went on in the log file", WARNING)
        if flood:
            self.rest = b""
            self.offset = size
            return
        self.offset += len(block)
        if rest and (last or len(rest) > MAX_LINE):
            self._send_line(rest)
            self.rest = b""

    def _send_line(self, line: bytes) -> None:
        # a progress bar overwrites itself after each carriage return: only its last state is sent
        text = line.rstrip(b"\r").rpartition(b"\r")[2][:MAX_LINE]
        if text:
            self._send(text, INFO)

    def _send(self, text: bytes, priority: int, message_id: str | None = None) -> None:
        if self.socket is None:
            return
        fields = b"MESSAGE\n%s%s\nPRIORITY=%d\n%s" % (len(text).to_bytes(8, "little"), text, priority, self.fields)
        if message_id is not None:
            fields += f"MESSAGE_ID={message_id}\n".encode()
        try:
            # journald's queue is short, and full just after many lines: an event waits for room, a line does not
            self.socket.settimeout(0.0 if message_id is None else EVENT_PATIENCE)
            self.socket.send(fields)
        except OSError:
            self.dropped += 1  # journald is busy or gone; the log file has all output


def _connect() -> _socket.socket | None:
    if not os.path.exists(SOCKET):
        return None  # without loading _socket, which takes 164 kB for as long as the job runs
    import _socket  # noqa: PLC0415

    found = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        found.connect(SOCKET)
    except OSError:
        found.close()
        return None
    return found
