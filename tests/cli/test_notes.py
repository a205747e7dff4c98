"""The one note before a job: where it runs, and what does not hold there."""

from __future__ import annotations

import pytest

from gravscope.cli.afterwards import place_in_words
from tests.support import Gravscope

NO_SCOPE = {"fallback_reason": "no user manager", "unit": None, "foreground": False}
SESSION = {**NO_SCOPE, "fallback_reason": None}
SCOPE = {**SESSION, "unit": "gravscope-x.scope"}
FRONT = {**NO_SCOPE, "foreground": True}
DOCTOR = "; type: gravscope doctor"


@pytest.mark.parametrize(
    ("facts", "watched", "lost", "said"),
    [
        (SCOPE, False, [], None),
        (SESSION, False, [], None),
        (NO_SCOPE, False, [], "no systemd scope here: the job runs in a session"),
        (FRONT, False, [], "no systemd scope here: the job runs without one"),
        (NO_SCOPE, True, [], "no systemd scope here: gravscope itself watches --mem-max"),
        (NO_SCOPE, False, ["--mem-high"], "no systemd scope here: --mem-high does not hold"),
        (
            NO_SCOPE, True, ["--mem-high"],
            "no systemd scope here: gravscope itself watches --mem-max, --mem-high does not hold",
        ),
        (SESSION, True, [], "without a systemd scope: gravscope itself watches --mem-max"),
        (
            SCOPE, False, ["--cpu-quota", "--tasks-max"],
            "the kernel does not hold all limits here: --cpu-quota and --tasks-max do not hold",
        ),
    ],
)  # fmt: skip
def test_where_it_runs(facts: dict[str, object], watched: bool, lost: list[str], said: str | None) -> None:
    """One line that ends with what to type; none where all is as it was asked for."""
    assert place_in_words(facts, watched=watched, lost=lost) == (said and said + DOCTOR)


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ((), "the job runs in a session"),
        (("--mem-max", "300M"), "gravscope itself watches --mem-max"),
        (("--mem-high", "200M"), "--mem-high does not hold"),
        (("--mem-high", "200M", "--mem-max", "300M"), "gravscope itself watches --mem-max, --mem-high does not hold"),
        (
            ("--mem-max", "300M", "--tasks-max", "50", "--cpu-quota", "50%"),
            "gravscope itself watches --mem-max, --tasks-max and --cpu-quota do not hold",
        ),
    ],
)
def test_one_note_before_a_job(gravscope: Gravscope, options: tuple[str, ...], held: str) -> None:
    """Without a user manager it is one, whatever limits were asked for; the record has all, and `show` tells it."""
    done = gravscope("run", "-n", "x", *options, "--", "true")
    assert done.stderr == f"gravscope: no systemd scope here: {held}{DOCTOR}\n"
    record = gravscope.ended(done.stdout.strip())
    assert record["fallback_reason"] == "systemd-run is not installed"
    shown = gravscope("show", "x").stdout
    assert "systemd-run is not installed" in shown
    for option in options[::2]:
        assert (f"{option} does not hold here: " in shown) == (option != "--mem-max")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no systemd scope here: the job runs in a session"),
        (
            ("--mem-max", "300M"),
            "no systemd scope here: nothing in this line holds a limit; of a job, gravscope itself watches --mem-max",
        ),
        (
            ("--mem-high", "200M", "--launcher", "session"),
            "without a systemd scope: nothing in this line holds a limit; of a job, --mem-high does not hold",
        ),
        (("--launcher", "session"), None),
    ],
)
def test_a_dry_run_says_what_its_line_does_not(
    gravscope: Gravscope, options: tuple[str, ...], said: str | None
) -> None:
    """In a session no limit stands in the line: that is said, and what holds it in a job."""
    done = gravscope("run", "--dry-run", *options, "--", "true")
    assert done.stderr == (f"gravscope: {said}{DOCTOR}\n" if said else "")
    assert not gravscope.jobs_dir.exists()
