"""`gravscope units`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from gravscope.actions.units import units as actions
from gravscope.actions.units.units import Outcome, Place, Status, UnitStatus
from gravscope.base.quantity import format_size
from gravscope.cli.called import as_called
from gravscope.cli.messages import note
from gravscope.cli.output import print_json
from gravscope.cli.overview import Commands, OneCommand

app = typer.Typer(
    cls=Commands,
    help="Install unit files: a limit for all jobs, a daily prune. Also more controllers for users.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

SystemDropin = Annotated[
    bool,
    typer.Option(
        "--system-dropin", help="Instead, the machine's drop-in that hands down more controllers; needs root."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also files that somebody changed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("install", cls=OneCommand)
def install(
    system_dropin: SystemDropin = False,
    enable_prune: Annotated[
        bool, typer.Option("--enable-prune", help="Also enable the timer that removes old records daily.")
    ] = False,
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write the unit files where systemd reads them. Twice is as good as once."""
    place = Place(os.environ, system=system_dropin)
    done = actions.install(place, force=force, dry_run=dry_run, enable_prune=enable_prune and not system_dropin)
    _tell(done, dry_run=dry_run, json=json)


@app.command("remove", cls=OneCommand)
def remove(
    system_dropin: SystemDropin = False, force: Force = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Remove the unit files that install wrote and nobody changed."""
    done = actions.remove(Place(os.environ, system=system_dropin), force=force, dry_run=dry_run)
    _tell(done, dry_run=dry_run, json=json)


@app.command("status", cls=OneCommand)
def status(json: Json = False) -> None:
    """Say how the unit files stand, and what they limit. That is all jobs together."""
    found = actions.status(os.environ)
    print_json(_status_as_json(found)) if json else print("\n".join(_status_in_words(found)))


def _tell(done: Outcome, *, dry_run: bool, json: bool) -> None:
    if json:
        shown = [{"name": unit.name, "path": str(unit.path), "deed": deed} for unit, deed in done.files]
        print_json({"dry_run": dry_run, "files": shown, "steps": done.steps, "notes": done.notes})
        return
    would = "would be " if dry_run else ""
    for unit, deed in done.files:
        print(f"{unit.path}: {would if deed in ('written', 'removed') else ''}{deed}")
    for step in done.steps:
        print(f"{'would run' if dry_run else 'ran'}: {step}")
    kept = [str(unit.path) for unit, deed in done.files if deed == "kept"]
    if kept:
        note(f"changed by somebody since, and kept: {', '.join(kept)}; type the same with --force to give it up")
    for text in done.notes:
        note(text)


def _status_as_json(found: Status) -> dict[str, Any]:
    return {
        "units": [
            {
                "name": standing.unit.name,
                "path": str(standing.unit.path),
                "state": standing.unit.state,
                "loaded": standing.loaded,
                "loaded_from": standing.file,
                "active": standing.active,
                "enabled": standing.enabled,
                "needs_reload": standing.needs_reload,
            }
            for standing in found.units
        ],
        "system_dropin": {"path": str(found.dropin.path), "state": found.dropin.state},
        "slice": {"limits": found.limits, "held": found.held},
    }


def _status_in_words(found: Status) -> list[str]:
    names = max(len(standing.unit.name) for standing in found.units)
    lines = [
        f"{standing.unit.name:<{names}}  {standing.unit.state:<9}  {_loaded(standing, found)}"
        for standing in found.units
    ]
    lines.append(f"{'system drop-in':<{names}}  {found.dropin.state:<9}  {found.dropin.path}")
    if found.limits is None:
        return [*lines, "no user manager answers: no limit holds for all jobs together"]
    limits = [f"{name} {_limit(name, value)}" for name, value in found.limits.items()]
    return [*lines, f"all jobs together: {', '.join(limits)}", _held(found)]


def _loaded(standing: UnitStatus, found: Status) -> str:
    if found.limits is None:
        return "not loaded"
    if not standing.file:
        return "not loaded"
    words = ["loaded" if standing.loaded else f"loaded from {standing.file}"]
    words += [word for word in (standing.active, standing.enabled) if word and word != "static"]
    return ", ".join([*words, *(["changed since"] if standing.needs_reload else [])])


def _limit(name: str, value: str) -> str:
    """systemd's own spelling, sizes made readable."""
    if value == "[not set]":
        return "-"
    return format_size(int(value)) if name.startswith("Memory") and value.isdigit() else value


def _held(found: Status) -> str:
    """What the kernel holds of it now; the slice has a cgroup only once a job was started."""
    most = None if found.held is None else found.held.get("mem_max")
    if found.held is None:
        return "no job was started yet, so the kernel holds none of them"
    if not isinstance(most, int):
        return as_called("the kernel does not hold the memory limit; type: gravscope doctor")
    return f"the kernel holds MemoryMax {format_size(most)}"


def add_to(root: typer.Typer) -> None:
    """Adds the command."""
    root.add_typer(app, name="units")
