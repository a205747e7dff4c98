"""How a job gets going: each launcher is an argv prefix before the same supervisor, built by a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gravscope.model import LauncherName


@dataclass(frozen=True)
class Launch:
    """One way to start a job: the words before the supervisor's, and the environment that they need themselves."""

    launcher: LauncherName
    prefix: list[str]
    environ: Mapping[str, str] = field(repr=False)
    unit: str | None = None
    slice: str | None = None
