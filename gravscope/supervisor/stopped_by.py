"""Who stopped the job, if it was not `gravscope cancel`: another process, or logind after the user's last logout.

Without linger, logind stops the user manager some time after the last logout, and with it every scope. logind's state
file of the user then says so. That file is private to logind, so it decides only the text of the reason, never the
state of the job.
"""

from __future__ import annotations

import os
import time

from gravscope.linux import proc

USERS, LINGER = "/run/systemd/users", "/var/lib/systemd/linger"
# logind may write STOPPING=yes up to so many seconds after the stop has reached us (51 ms were seen); and seconds
# between two reads of the file
PATIENCE, INTERVAL = 0.5, 0.02


def stop_reason(signal: str, *, in_unit: bool) -> str:
    """The reason for the record when `signal` stopped the job and there was no cancel request."""
    if in_unit and _manager_is_stopping():
        return "its user manager was stopped after the last logout: without linger it ends with the login"
    return f"told to stop by {signal}, with no cancel request"


def _manager_is_stopping() -> bool:
    deadline = time.monotonic() + PATIENCE
    while True:
        state = parse_state(proc.read_text(f"{USERS}/{os.getuid()}"))
        if state.get("STATE") != "closing" or os.path.exists(f"{LINGER}/{state.get('NAME')}"):
            return False
        if state.get("STOPPING") == "yes":
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL)


def parse_state(text: str | None) -> dict[str, str]:
    """The NAME=VALUE lines of a state file."""
    parts = (line.partition("=") for line in (text or "").splitlines())
    return {name: value for name, equals, value in parts if equals}
