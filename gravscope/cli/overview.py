"""How help is laid out: the commands in groups, each with the whole first sentence of what it does."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

# every command in one of them, in the order of the help
GROUPS: dict[str, tuple[str, ...]] = {
    "Jobs": ("run", "rerun", "wait", "cancel"),
    "Look": ("status", "show", "logs", "path"),
    "Change": ("limit", "pause", "resume", "prune"),
    "Machine": ("doctor", "units", "config", "completion", "help"),
    "Scripts": ("guard", "make-include"),
}
_SENTENCE = re.compile(r"(.*?)[.:]?(?:(?<=\.)\s|$)", re.DOTALL)


class OneCommand(TyperCommand):
    """A command, whose words that have to be there stand in its usage as they are, without braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 (Typer keeps its own Click to itself)
        """As `show [OPTIONS] JOB`."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class Commands(TyperGroup):
    """A group of commands, whose help cuts no summary."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Those of `gravscope` itself under the headings above, others under one."""
        names = [name for name, each in self.commands.items() if not each.hidden]
        groups = GROUPS if {*names} == {name for group in GROUPS.values() for name in group} else {"Commands": names}
        width = max(map(len, names))
        for title, group in groups.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", summary(self.commands[name].help or "")) for name in group])


def summary(text: str) -> str:
    """The first sentence of a help, without its full stop."""
    found = _SENTENCE.match(" ".join(text.split()))
    return found[1] if found else text
