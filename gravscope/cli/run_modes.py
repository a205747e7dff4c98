"""What `gravscope run` and `gravscope rerun` do beside a mere launch: wait, follow, --fg, --json, --dry-run."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec

from gravscope.actions.launch.dry_run import Plan, dry_run
from gravscope.actions.launch.foreground import run_in_foreground
from gravscope.actions.launch.launch import launch
from gravscope.actions.look.wait import exit_status, wait
from gravscope.base.printable import printable
from gravscope.base.redact import HIDDEN
from gravscope.cli.afterwards import Afterwards, place_in_words, say_how_to_follow, tell
from gravscope.cli.logs import show_growing
from gravscope.cli.messages import note
from gravscope.cli.output import print_json, public
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec
from gravscope.records.store import Store
from gravscope.settings.project import Project


def carry_out(spec: JobSpec, project: Project, environ: Mapping[str, str], after: Afterwards) -> int:
    """Starts the job, does what is to follow, and returns the exit status."""
    if after.dry_run:
        return _print_plan(dry_run(spec, project, environ), spec, json=after.json)
    if spec.foreground:
        return _in_foreground(spec, project, environ)
    facts = launch(spec, project, environ)
    tell(facts)
    record = msgspec.convert(facts, JobRecord)
    store = Store(project.jobs_dir)
    if after.follow:
        return _follow(store, record)
    say_how_to_follow(record.id)
    if after.wait:
        with going_on(record):
            record = wait(store, [record.id])[0]
        note(f"{record.id}: {record.state}: {record.reason}")
    print_json(public(record)) if after.json else print(record.id)
    return exit_status(record) if after.wait else 0


def _print_plan(plan: Plan, spec: JobSpec, *, json: bool) -> int:
    found = plan_in_words(plan, spec)
    if found is not None:
        note(found)
    if HIDDEN in plan.line:
        note(f"what looks like a secret is shown as {HIDDEN}: put it in before you paste this")
    print_json({"command_line": printable(plan.line)}) if json else _print_exactly(plan.line)
    return 0


def plan_in_words(plan: Plan, spec: JobSpec) -> str | None:
    """What the line of a dry run does not show: that no limit stands in it outside of a scope, and what holds those of
    the job. None where the line is all there is."""
    if plan.unit is not None:
        return None
    asked = [f"--{name.replace('_', '-')}" for name, limit in spec.limits.as_dict().items() if _limits(limit)]
    watched = "--mem-max" in asked
    lost = [option for option in asked if option != "--mem-max" and not (watched and option == "--swap-max")]
    facts = {"fallback_reason": plan.fallback_reason, "unit": None, "foreground": spec.foreground}
    before = "nothing in this line holds a limit; of a job, " if asked else ""
    return place_in_words(facts, watched=watched, lost=lost, before=before)


def _limits(limit: object) -> bool:
    return isinstance(limit, int | float) and limit != math.inf


def _print_exactly(line: str) -> None:
    """What is to be pasted: bytes that are no text stay what they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(line) + b"\n")


@contextmanager
def going_on(record: JobRecord) -> Iterator[None]:
    """While we wait for a job, Ctrl-C ends our waiting and not the job, and we say so."""
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the terminal has shown ^C
        note(f"{record.id} goes on; type: gravscope cancel {record.id}, or gravscope logs -f {record.id}")
        raise


def _follow(store: Store, record: JobRecord) -> int:
    note(f"{record.id}: its log is {record.log_file}")
    with going_on(record):
        show_growing(store, record.id)
    record = store.read(record.id)
    note(f"{record.id}: {record.state}: {record.reason}")
    return exit_status(record)


def _in_foreground(spec: JobSpec, project: Project, environ: Mapping[str, str]) -> int:
    """What there is to say is said when the command has ended: until then the terminal is its own."""
    finished = run_in_foreground(spec, project, environ)
    record = finished.record
    interrupted = (record.state, record.signal) == ("killed", signal.SIGINT)
    with suppress(OSError):  # the terminal may be gone
        tell(msgspec.to_builtins(record))
        if finished.goes_on:
            note(f"{record.id}: its background processes go on; type: gravscope show {record.id}")
        # of its own exit status, and of Ctrl-C, a shell says nothing either
        elif record.state not in ("succeeded", "failed") and not interrupted:
            note(f"{record.id}: {record.state}: {record.reason}")
    if interrupted and record.terminal:
        # to the shell that is 130 as well; but only so does Ctrl-C end a loop of such commands, too
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return finished.status
