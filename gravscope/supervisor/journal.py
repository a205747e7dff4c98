"""The job in the journal: its lines and what happens to it, in journald's native protocol.

See systemd.io/JOURNAL_NATIVE_PROTOCOL. `journalctl --user --user-unit UNIT` shows the entries. journald itself files an
entry under the cgroup that its sender is in when it comes to read it, and under none if the sender is gone by then
(systemd issue 2913); so we name the unit in USER_UNIT=, which journalctl takes from the unit's own user. The log file
is the truth: it is written by the job itself, and what comes too fast for a journal is left to it, with an entry that
says so.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SOCKET = "/run/systemd/journal/socket"
# The kinds of entry, by which `journalctl MESSAGE_ID=…` finds them in any language
STARTED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f101"
THROTTLED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f102"
OOM = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f103"
ENDED = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f104"
LEFT_TO_THE_FILE = "7c1f0e6d5c0d4b60a7d6c3c5d1a4f105"
# syslog(3) priorities
WARNING, NOTICE, INFO = 4, 5, 6

# bytes of the log that are mirrored in one look (a second), and lines; the rest of a flood is left to the file.
# journald itself drops what exceeds 10,000 entries in 30 seconds (journald.conf(5), RateLimitBurst=).
MOST_BYTES, MOST_LINES = 1 << 18, 300
# a line without an end is cut there
LONGEST_LINE = 1 << 13
# seconds that an event may wait for a busy journald
EVENT_PATIENCE = 1.0


class Journal:
    """What is sent to the journal on the job's behalf; silently nothing where there is none."""

    def __init__(self, job_id: str, name: str, unit: str | None, log_fd: int | None) -> None:
        fields = f"SYSLOG_IDENTIFIER={name}\nGRAVSCOPE_JOB={job_id}\nGRAVSCOPE_NAME={name}\n"
        self.fields = (fields if unit is None else f"{fields}USER_UNIT={unit}\n").encode()
        self.log_fd = log_fd
        self.offset = 0
        self.rest = b""
        self.dropped = 0
        self.socket = _connect()

    def event(self, message_id: str, text: str, priority: int = NOTICE) -> None:
        """Something that happened to the job."""
        self._send(text.encode("utf-8", "replace"), priority, message_id)

    def mirror(self, *, last: bool = False) -> None:
        """Sends what the job has written since the last look; with `last`, also a line that has no end."""
        if self.socket is None or self.log_fd is None:
            return
        try:
            size = os.fstat(self.log_fd).st_size
            self.offset = min(self.offset, size)  # the log was truncated
            block = os.pread(self.log_fd, MOST_BYTES, self.offset)
        except OSError:
            return
        self._send_lines(block, size, last=last)

    def _send_lines(self, block: bytes, size: int, *, last: bool) -> None:
        *lines, rest = (self.rest + block).split(b"\n")
        self.rest = rest
        dropped = self.dropped
        for line in lines[:MOST_LINES]:
            self._send_line(line)
        flood = len(lines) > MOST_LINES or self.offset + len(block) < size
        if flood or self.dropped > dropped:
            self.event(
                LEFT_TO_THE_FILE, "too much output for the journal at this point; it went on in the log file", WARNING
            )
        if flood:
            self.rest = b""
            self.offset = size
            return
        self.offset += len(block)
        if rest and (last or len(rest) > LONGEST_LINE):
            self._send_line(rest)
            self.rest = b""

    def _send_line(self, line: bytes) -> None:
        # of a progress bar that overwrites itself, the last state
        text = line.rstrip(b"\r").rpartition(b"\r")[2][:LONGEST_LINE]
        if text:
            self._send(text, INFO)

    def _send(self, text: bytes, priority: int, message_id: str | None = None) -> None:
        if self.socket is None:
            return
        fields = b"MESSAGE\n%s%s\nPRIORITY=%d\n%s" % (len(text).to_bytes(8, "little"), text, priority, self.fields)
        if message_id is not None:
            fields += f"MESSAGE_ID={message_id}\n".encode()
        try:
            # journald's queue is short, and just after many lines it is full: an event waits for room, a line does not
            self.socket.settimeout(0.0 if message_id is None else EVENT_PATIENCE)
            self.socket.send(fields)
        except OSError:
            self.dropped += 1  # journald is busy or gone: the file has it all


def _connect() -> _socket.socket | None:
    if not os.path.exists(SOCKET):
        return None  # and sockets are not loaded, which would be 164 kB for as long as the job runs
    import _socket  # noqa: PLC0415

    found = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        found.connect(SOCKET)
    except OSError:
        found.close()
        return None
    return found
