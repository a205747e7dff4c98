"""The Make include: a background twin for every target, and the jobs targets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.test_setup_venv import Checkout
from tests.support import REPOSITORY, Gravscope, ManagedGravscope, clean_environment

MAKEFILE = """\
include $(shell $(GRAVSCOPE) make-include)
.PHONY: greet quoted deep-target fails
greet:
\t@echo "rate=$(RATE)" 'note=$(NOTE)' "level=$(MAKELEVEL)"
quoted:
\t@printf '%s\\n' "rate=$(RATE)" $(call gravscope-quote,$(NOTE))
deep-target:
\t@echo deep
fails:
\t@exit 9
"""


class Make:
    """`make` in a project of its own that includes gravscope's include."""

    def __init__(self, gravscope: Gravscope) -> None:
        self.gravscope = gravscope
        self.folder = gravscope.folder / "a project"
        self.folder.mkdir()
        (self.folder / "Makefile").write_text(MAKEFILE)
        tool = gravscope.folder / "gravscope"
        tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m gravscope "$@"\n')
        tool.chmod(0o755)
        self.tool = tool

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `make WORDS…` to its end."""
        argv = ["make", "--no-print-directory", f"GRAVSCOPE={self.tool}", *words]
        if isinstance(self.gravscope, ManagedGravscope):
            return self.gravscope.manager.run(argv, env=self.gravscope.environ, cwd=self.folder)
        return subprocess.run(
            argv,
            env=self.gravscope.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def job(self, *words: str) -> str:
        """The id of the job that `make WORDS…` starts, once it has ended."""
        done = self(*words)
        assert done.returncode == 0, done.stderr
        job = done.stdout.strip().splitlines()[-1]
        self.gravscope.ended(job)
        return job


@pytest.fixture
def make(gravscope: Gravscope) -> Make:
    """A project with the include."""
    return Make(gravscope)


def test_every_target_has_a_twin(make: Make) -> None:
    """X-bg runs target X as a job named after it, - as _."""
    job = make.job("deep-target-bg")
    assert job.startswith("deep_target_")
    assert make.gravscope.log(job) == "deep\n"


@pytest.mark.parametrize("note", ["途中経過", 'two words, "quoted"; #x', "$$HOME $HOME", "it's", "a\tb"])
def test_variables_pass_through(make: Make, note: str) -> None:
    """The twin says what the target itself says, whatever is in the variables given to make."""
    words = ("RATE=50", f"NOTE={note}")
    job = make.job("quoted-bg", *words)
    assert make.gravscope.log(job) == make("quoted", *words).stdout
    assert "rate=50" in make.gravscope.log(job)


def test_a_quote_passes_through(make: Make) -> None:
    """A single quote in a value, which the shell would end a word at, arrives too."""
    job = make.job("greet-bg", "RATE=it's")
    assert make.gravscope.log(job).startswith("rate=it's ")


def test_the_jobs_make_knows_no_job_server(make: Make) -> None:
    """Under make -j the job's make is not handed a job server that is gone when it runs: no warning in the log."""
    job = make.job("-j2", "greet-bg", "RATE=1", "NOTE=x")
    assert make.gravscope.log(job) == "rate=1 note=x level=0\n"


def test_the_exit_status_is_makes(make: Make) -> None:
    """A target that fails makes its job fail, with make's exit status."""
    job = make.job("fails-bg")
    assert make.gravscope.record(job)["exit_code"] == 2
    assert make("jobs-logs", "NAME=fails").stdout.strip() != ""


def test_jobs_targets(make: Make) -> None:
    """jobs-run takes any shell string; jobs-status, jobs-logs and jobs-cancel do what they say."""
    done = make("jobs-run", "NAME=fit", """CMD=echo 'one two' "$$" | tr a-z A-Z; sleep 1000""")
    job = done.stdout.strip()
    assert make.gravscope("wait", job, "--ready", "ONE TWO [0-9]+").returncode == 0
    assert job in make("jobs-status").stdout
    assert make("jobs-logs", "NAME=fit").stdout.startswith("ONE TWO ")
    assert "cancelled" in make("jobs-cancel", "NAME=fit").stdout


def test_options_for_gravscope_run(make: Make) -> None:
    """JOB_OPTIONS reaches gravscope run."""
    job = make.job("greet-bg", "RATE=1", "NOTE=x", "JOB_OPTIONS=--timeout 90s -e A=1")
    assert (make.gravscope.record(job)["timeout"], make.gravscope.record(job)["env"]) == (90, {"A": "1"})


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("jobs-run",), "NAME"),
        (("jobs-run", "NAME=x"), "CMD"),
        (("jobs-logs",), "NAME"),
        (("jobs-cancel",), "NAME"),
    ],
)
def test_a_missing_variable_is_one_line(make: Make, words: tuple[str, ...], missing: str) -> None:
    """What is missing is named in one line with what to type, and nothing is started."""
    done = make(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{missing} is missing; type: make {words[0]} " in done.stderr
    assert not make.gravscope.jobs_dir.exists()


def test_the_default_goal_stays(make: Make) -> None:
    """Plain `make` does what the Makefile says first, though the include comes before it."""
    assert make("RATE=7").stdout.startswith("rate=7 ")


def test_agent_in_a_session_of_its_own(make: Make) -> None:
    """Without a user manager, start and continue run the agent in a session of its own where setsid is, arguments
    overridable."""
    probe = f"{sys.executable} -c 'import os, sys; print(os.getsid(0) == os.getpid(), *sys.argv[1:])'"
    assert make("start", f"AGENT={probe}", "START_ARGS=--fresh now").stdout == "True --fresh now\n"
    assert make("continue", f"AGENT={probe}").stdout == "True resume --last\n"
    assert not make.gravscope.jobs_dir.exists()


def test_agent_in_a_scope_of_its_own(managed: ManagedGravscope) -> None:
    """With one, they run it in the foreground, in a scope of its own, and their exit status tells that it failed."""
    make = Make(managed)
    probe = "python3 -c 'import sys; print(open(\"/proc/self/cgroup\").read().strip(), *sys.argv[1:])'"
    done = make("start", f"AGENT={probe}", "START_ARGS=--fresh now")
    (record,) = managed.records()
    assert done.stdout.endswith(f"/{record['unit']}/job --fresh now\n"), done.stderr
    assert (record["foreground"], record["cmd"][-2:]) == (True, ["--fresh", "now"])
    done = make("continue", "AGENT=sh -c 'exit 7'")
    assert (done.returncode, "Error 7" in done.stderr) == (2, True)


def test_progress_needs_a_rate(tmp_path: Path) -> None:
    """This repository's `progress` without RATE is one clear line."""
    checkout = Checkout(tmp_path)
    assert checkout()[0] == 0
    for name in ("Makefile", "gravscope.mk"):
        shutil.copy(REPOSITORY / name, checkout.folder)
    done = subprocess.run(
        ["make", "progress"], cwd=checkout.folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert 'RATE is missing; type: make progress RATE=50 NOTE="途中経過"' in done.stderr


def test_a_twin_begins_with_the_setup(tmp_path: Path) -> None:
    """This repository's twins mend the virtual environment first: a checkout that was moved works."""
    checkout = Checkout(tmp_path)
    for name in ("Makefile", "gravscope.mk"):
        shutil.copy(REPOSITORY / name, checkout.folder)
    checkout.does("pip", f'ln -s {shutil.which("echo")} "${{0%python}}gravscope"; exit')
    argv = ["make", "rep6-ab-fast-bg", f"PYTHON={checkout.python}"]
    done = subprocess.run(
        argv, cwd=checkout.folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("run -n rep6_ab_fast -- make "), done.stderr
    assert done.stderr.startswith("setup: making .venv")
