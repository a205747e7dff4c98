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
from gravscope.cli.output import GREEN, RED, YELLOW, coloured, is_coloured, print_json
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

STATUS_WIDTH, NAME_WIDTH = 5, 12
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
        print("\n".join(in_words(found, colour=is_coloured(sys.stdout))))
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


def in_words(found: Diagnosis, *, colour: bool = False) -> list[str]:
    """A line for each check, with what needs it where that fails for it, and one for what they come to."""
    lines = []
    for check in found.checks:
        if check.because is None:
            lines.append(_line(check, colour=colour))
            needing = [other.name for other in found.checks if other.because == check.name]
            if needing:
                lines.append(f"{'':<{STATUS_WIDTH + NAME_WIDTH + 2}}needed by: {', '.join(needing)}")
    return [*lines, "", _verdict(found)]


def _line(check: Check, *, colour: bool) -> str:
    what_to_type = f"; type: {as_called(check.type)}" if check.type else ""
    status = coloured(check.status, COLOURS[check.status], on=colour) + " " * (STATUS_WIDTH - len(check.status))
    return f"{status} {check.name:<{NAME_WIDTH}} {check.found}{what_to_type}"


def _verdict(found: Diagnosis) -> str:
    if not found.scope_works:
        return "Scopes do not work here: jobs run in sessions, and gravscope watches their memory."
    if all(check.status == "ok" for check in found.checks if check.name == "limits"):
        return "Scopes work here, and the kernel holds their limits."
    return "Scopes work here, but the kernel does not hold all of their limits."
