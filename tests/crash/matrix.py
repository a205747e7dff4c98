"""SIGKILL at every step of a job's life and at random moments, and whether what is then said of the job is true.

A step is a call with which a process of the launch changes something that others see, or waits for them (see
`crashpoint.c`); it is hit just before that call.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gravscope.actions.control.cancel import cancel
from gravscope.actions.look.settle import settled
from gravscope.base.errors import GravscopeError, NoSuchJobError
from gravscope.records.model import JobRecord
from gravscope.records.store import Store
from tests.crash.launch import LAUNCHERS, Launch
from tests.crash.truth import Facts, wrong_end
from tests.support import until

ROLES = ("cli", *LAUNCHERS, "supervisor", "child", "command")
# seconds within which the random moments lie: the launch, and after its command was let go
LAUNCHING, ENDING = 0.15, 0.02
WORKERS = 4


@dataclass(frozen=True)
class Hit:
    """Where SIGKILL is to strike, and what then becomes of the job."""

    scenario: str
    role: str
    at: int
    what: str
    ending: str
    """release: the command is let go to its own end; cancel: it is cancelled."""


@dataclass(frozen=True)
class Verdict:
    """What was seen after one hit."""

    hit: Hit
    killed: bool
    wrong: str | None
    orphans: int


def the_record(launch: Launch) -> JobRecord | None:
    """The launch's record as whoever looks finds it; None if it has none."""
    store = Store(launch.jobs)
    ids = store.ids()
    if len(ids) > 1:
        raise AssertionError(f"{len(ids)} records of one launch")
    try:
        return settled(store, store.read(ids[0])) if ids else None
    except NoSuchJobError:
        return None


def as_facts(record: JobRecord | None) -> dict[str, object] | None:
    """The record's own words."""
    if record is None:
        return None
    return {name: getattr(record, name) for name in ("state", "exit_code", "signal", "reason", "ended")}


def says_it_lives(launch: Launch) -> bool:
    """Whether the record says so."""
    record = the_record(launch)
    return record is not None and record.live


def agrees(launch: Launch) -> bool:
    """The record says that the job lives if and only if anything of it does."""
    return says_it_lives(launch) == bool(launch.working())


def look(launch: Launch) -> str | None:
    """What is wrong with what is said about a job that has settled down; None if it is true."""
    try:
        until(lambda: agrees(launch), "the record's agreement with the processes")
    except AssertionError:
        alive = [f"{process.role} {process.pid}" for process in launch.working()]
        return f"lives: {alive or 'nothing'}, said: {as_facts(the_record(launch))}"
    return None


def end(launch: Launch, ending: str) -> bool:
    """Brings the job to its end; True if a cancel had something to end."""
    record = the_record(launch)
    if ending == "cancel" and record is not None and record.live:
        return not cancel(Store(launch.jobs), record.id, os.environ).had_ended
    launch.release()
    return False


def hit_once(launch: Launch, hit: Hit) -> Verdict:
    """One launch, struck once, and everything that is to be true afterwards."""
    wrong, cancelled = None, hit.scenario == "cancel"
    try:
        SCENARIOS[hit.scenario](launch, hit)
        until(launch.settled_down, "the launch's coming to rest")
        wrong = look(launch)
        cancelled |= end(launch, hit.ending)
        until(lambda: not launch.working(), "the end of every process")
        # one that is being killed loses its memory, by which we know it, a moment before its lock
        until(lambda: not says_it_lives(launch), "a record that says so")
    except (AssertionError, GravscopeError) as error:
        left = ", ".join(f"{process.role} {process.pid}" for process in launch.processes())
        wrong = wrong or f"{type(error).__name__}: {error}; struck {launch.struck}, left: {left}"
    if (hit.role, hit.at) in launch.killed_steps():
        launch.struck = hit.role
    orphans = len(launch.working())
    if wrong is None:
        # in `settle` the supervisor had been killed before
        victim = "supervisor" if hit.scenario == "settle" else launch.struck
        ran = launch.said("ran") or victim == "command"
        facts = Facts(victim, cancelled, ran, launch.said("done"))
        wrong = wrong_end(facts, as_facts(the_record(launch))) or again(launch)
    if wrong is not None:
        wrong = f"{wrong}; its log ends: {launch.last_words()}"
    return Verdict(hit, launch.struck is not None, wrong, orphans)


def again(launch: Launch) -> str | None:
    """The same name runs once more; what went wrong, if not."""
    before = set(Store(launch.jobs).ids())
    runs = launch.gravscope("run", "-n", "x", "--launcher", launch.launcher, "--wait", "--", "true")
    said = runs.communicate()[1].decode(errors="replace")
    new = set(Store(launch.jobs).ids()) - before
    return None if runs.returncode == 0 and len(new) == 1 else f"cannot run again: {runs.returncode}, {new}, {said}"


# scenarios


def scenario_run(launch: Launch, hit: Hit) -> None:
    """Struck while it is launched, or later if the step lies there."""
    launch.run(hit.role, hit.at).communicate()


def scenario_cancel(launch: Launch, hit: Hit) -> None:
    """Launched unharmed; the command line that cancels it is struck."""
    launch.run().communicate()
    launch.trace.unlink()
    launch.gravscope("cancel", "x", role=hit.role, at=hit.at).communicate()


def scenario_settle(launch: Launch, hit: Hit) -> None:
    """Everything of it dies at once; the command line that finds that out is struck."""
    launch.run().communicate()
    until(lambda: launch.said("ran"), "the command")
    for role in ("supervisor", "command"):
        for process in launch.processes():
            if process.role == role:
                process.kill()
    until(lambda: not launch.working(), "their end")
    launch.trace.unlink()
    launch.gravscope("status", role=hit.role, at=hit.at).communicate()


def scenario_random(launch: Launch, hit: Hit) -> None:
    """Struck at a random moment: any one process that is there then."""
    dice = random.Random(hit.at)  # noqa: S311 (a repeatable choice, no secret)
    runs = launch.run()
    late = dice.random() < 0.5
    if late:
        runs.wait()
        launch.release()
    time.sleep(dice.random() * (ENDING if late else LAUNCHING))
    found = [process for process in launch.processes() if process.role != "other"]
    if found:
        launch.struck = dice.choice(found).kill()
    runs.wait()


SCENARIOS: dict[str, Callable[[Launch, Hit], None]] = {
    "run": scenario_run,
    "cancel": scenario_cancel,
    "settle": scenario_settle,
    "random": scenario_random,
}


def plan(shim: Path, launcher: str) -> list[Hit]:
    """Every step of one unharmed launch in each scenario, from the moment at which the id is taken."""
    hits = []
    for scenario in ("run", "cancel", "settle"):
        launch = Launch(shim, launcher)
        try:
            SCENARIOS[scenario](launch, Hit(scenario, "", 0, "", "release"))
            if scenario == "run":
                until(launch.settled_down, "an unharmed launch")
                launch.release()
            until(lambda launch=launch: not launch.working(), "its end")  # type: ignore[misc]
            steps = launch.killed_steps()
        finally:
            launch.forget()
        for role in ROLES if scenario == "run" else ("cli",):
            own = [(at, plain(what)) for (found, at), what in sorted(steps.items()) if found == role]
            if not own:
                continue
            first = next(at for at, what in own if ".lock" in what) if role == "cli" else 1
            last = own[-1][0]
            hits += [Hit(scenario, role, at, f"before {what}", "") for at, what in own if at >= first]
            hits.append(Hit(scenario, role, last + 1, "after the last", ""))
    return hits


def plain(what: str) -> str:
    """A step's name without what differs from launch to launch."""
    name = re.sub(r"/\S*/", "", re.sub(r"x_\d{8}_\d{6}", "ID", what))
    return re.sub(r"\.\d+\.tmp", ".tmp", re.sub(r"(write) \d+$", r"\1", name))


def strike(shim: Path, launcher: str, hit: Hit) -> Verdict:
    """One hit in a folder of its own."""
    launch = Launch(shim, launcher)
    try:
        return hit_once(launch, hit)
    finally:
        launch.forget()


def measure(shim: Path, launcher: str, hits: Iterable[Hit]) -> list[Verdict]:
    """All hits, a few at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda hit: strike(shim, launcher, hit), hits))


def table(verdicts: list[Verdict]) -> str:
    """A line for each step in the order in which they come: times killed, wrong statuses, orphans."""
    lines = ["| launch | process | step | times killed | wrong statuses | orphans |", "|---|---|---|---|---|---|"]
    killed, wrong, orphans = Counter[str](), Counter[str](), Counter[str]()
    for verdict in verdicts:
        hit = verdict.hit
        step = hit.what if hit.scenario == "random" else f"{hit.at} {hit.what}"
        row = f"| {hit.scenario} | {hit.role} | {step} |"
        killed[row] += verdict.killed
        wrong[row] += verdict.wrong is not None
        orphans[row] += verdict.orphans
    lines += [f"{row} {killed[row]} | {wrong[row]} | {orphans[row]} |" for row in killed]
    total = f"| all | | | {killed.total()} | {wrong.total()} | {orphans.total()} |"
    return "\n".join([*lines, total])
