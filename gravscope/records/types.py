"""The words in a record as types: states, launchers, policies.

They are for type checkers and `gravscope.records.model`. A launch does not load them, as `typing` takes 3 ms.
"""

from __future__ import annotations

from typing import Literal

LiveState = Literal["queued", "starting", "running"]
EndState = Literal["succeeded", "failed", "killed", "oom-killed", "timed-out", "cancelled", "never-started", "lost"]
State = LiveState | EndState

LauncherName = Literal["scope", "session"]
LauncherChoice = Literal["auto", "scope", "session"]
OomPolicy = Literal["kill", "continue"]
Enforcement = Literal["kernel", "watch", "none"]
PeakSource = Literal["kernel", "sampled"]
# bytes, or a number of tasks
Size = int | Literal["infinity"]
