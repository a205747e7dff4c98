"""Who told the job to stop, when it was not our own cancel: somebody, or the end of the user's last session.

Without linger logind stops the user's manager some time after the last logout, and with it every scope. Its state file
says so at that moment. The file calls itself private, so it decides only which sentence is said, and never the state.
"""

from __future__ import annotations

import os
import time

from gravscope.linux import proc

USERS, LINGER = "/run/systemd/users", "/var/lib/systemd/linger"
# seconds by which logind may write STOPPING=yes after the stop has reached us (51 ms were seen)
PATIENCE, LOOK_AGAIN = 0.5, 0.02


def why_stopped(signal: str, *, in_unit: bool) -> str:
    """The sentence for a stop by `signal` that nobody asked gravscope for."""
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
        time.sleep(LOOK_AGAIN)


def parse_state(text: str | None) -> dict[str, str]:
    """The NAME=VALUE lines of a state file."""
    parts = (line.partition("=") for line in (text or "").splitlines())
    return {name: value for name, equals, value in parts if equals}
