"""Launchers: ways to start a job. Each is a prefix before the supervisor's command line, built by a pure function."""

from __future__ import annotations

from collections.abc import Mapping

from gravscope.base.immutable import Immutable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gravscope.records.types import LauncherName


class Launch(Immutable):
    """One way to start a job: the words before the supervisor's command line, and the environment of these words."""

    launcher: LauncherName
    prefix: list[str]
    environ: Mapping[str, str]
    unit: str | None = None
    slice: str | None = None

    def __repr__(self) -> str:
        """Without the environment, which may contain secrets."""
        return f"Launch({self.launcher!r}, {self.prefix!r}, unit={self.unit!r}, slice={self.slice!r})"
