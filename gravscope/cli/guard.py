"""`gravscope guard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gravscope.actions.guard import files as guard_files
from gravscope.cli.messages import note
from gravscope.cli.output import print_json
from gravscope.cli.overview import Commands, OneCommand

app = typer.Typer(
    cls=Commands,
    help="Make heavy scripts refuse to run outside a job. They then run only with GRAV_BG_JOB=1.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Python or shell scripts.")]


@app.command("check", cls=OneCommand)
def check(files: Files, json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> int:
    """List the scripts that lack the guard. Exit status 1 if there is one."""
    found = guard_files.check(files)
    lacking = [status for status in found if not status.guarded]
    if json:
        print_json([{"path": str(status.path), "guarded": status.guarded} for status in found])
    else:
        for status in lacking:
            print(status.path)
        if lacking:
            note(f"{len(lacking)} of {len(found)} lack the guard; type: gravscope guard install FILE...")
        else:
            note(f"all {len(found)} have the guard" if len(found) > 1 else f"{found[0].path} has the guard")
    return 1 if lacking else 0


@app.command("install", cls=OneCommand)
def install(
    files: Files,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Add the guard to scripts that lack it. The added lines work without gravscope installed."""
    changes = guard_files.install(files, dry_run=dry_run)
    if json:
        print_json([{"path": str(one.path), "changed": one.changed, "diff": one.diff} for one in changes])
        return
    for change in changes:
        if dry_run:
            print(change.diff, end="")
        else:
            print(f"{change.path}: {'guarded' if change.changed else 'has a guard already'}")


def add_to(root: typer.Typer) -> None:
    """Adds the command."""
    root.add_typer(app, name="guard")
