"""`gravscope doctor`."""

from __future__ import annotations

import os
import sys
from typing import Any

from gravscope.actions.doctor.doctor import Diagnosis
from gravscope.actions.doctor.doctor import doctor as diagnose
from gravscope.actions.doctor.fix import fix as mend
from gravscope.actions.doctor.lines import Check
from gravscope.base.errors import UnsupportedError
from gravscope.cli.called import NAME, as_called
from gravscope.cli.messages import note
from gravscope.cli.output import GREEN, RED, YELLOW, coloured, columns, is_coloured, print_json, width
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

STATUS_WIDTH, NAME_WIDTH = 5, 12
INDENT = STATUS_WIDTH + NAME_WIDTH + 2
COLOURS = {"ok": GREEN, "warn": YELLOW, "fail": RED}


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="First mend what needs no privilege, and say what was done.")
    ] = False,
    oom: Annotated[bool, typer.Option("--oom", help="Also have a small process exceed its memory limit.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> int:
    """Find out by doing what this machine can do for jobs. Exit status 5 where no scope is to be had."""
    project = here()
    done = mend(project, os.environ) if fix else None
    found = diagnose(project, os.environ, NAME, oom=oom)
    if json:
        print_json(as_json(found, done))
    else:
        for line in done or []:
            note(f"fix: {line}")
        if done == []:
            note("fix: nothing that could be mended without privileges")
        # in a pipe, a check is a line
        most = width() if sys.stdout.isatty() else None
        print("\n".join(in_words(found, colour=is_coloured(sys.stdout), most=most)))
    return 0 if found.scope_works else UnsupportedError.exit_code


def as_json(found: Diagnosis, done: list[str] | None) -> dict[str, Any]:
    """All of it; `fixed` only where --fix was given."""
    checks = [
        {
            "name": check.name,
            "status": check.status,
            "found": check.found,
            "type": check.type and as_called(check.type),
            "because": check.because,
        }
        for check in found.checks
    ]
    return {"scope_works": found.scope_works, "checks": checks, **({} if done is None else {"fixed": done})}


def in_words(found: Diagnosis, *, colour: bool = False, most: int | None = None) -> list[str]:
    """A line for each check, with what needs it where that fails for it, and one for what they come to. With `most`,
    lines of at most so many columns; what is to be typed stays on one line."""
    lines = []
    for check in found.checks:
        if check.because is None:
            lines += _lines(check, colour=colour, most=most)
            needing = [other.name for other in found.checks if other.because == check.name]
            if needing:
                lines += [" " * INDENT + line for line in _wrapped(f"needed by: {', '.join(needing)}", most, INDENT)]
    return [*lines, "", *_wrapped(_verdict(found), most, 0)]


def _lines(check: Check, *, colour: bool, most: int | None) -> list[str]:
    what_to_type = f"type: {as_called(check.type)}" if check.type else ""
    whole = "; ".join(filter(None, (check.found, what_to_type)))
    if most is None or INDENT + columns(whole) <= most:
        first, *others = [whole]
    else:
        first, *others = [*_wrapped(check.found, most, INDENT), *filter(None, [what_to_type])]
    status = coloured(check.status, COLOURS[check.status], on=colour) + " " * (STATUS_WIDTH - len(check.status))
    return [f"{status} {check.name:<{NAME_WIDTH}} {first}", *(" " * INDENT + line for line in others)]


def _wrapped(text: str, most: int | None, indent: int) -> list[str]:
    """`text` in lines that leave room for `indent`, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and most is not None and indent + columns(longer) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _verdict(found: Diagnosis) -> str:
    if not found.scope_works:
        return "Scopes do not work here: jobs run in sessions, and gravscope watches their memory."
    if all(check.status == "ok" for check in found.checks if check.name == "limits"):
        return "Scopes work here, and the kernel holds their limits."
    return "Scopes work here, but the kernel does not hold all of their limits."
