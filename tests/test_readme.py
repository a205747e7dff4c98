"""Every fenced block of the README and of the pages behind it is run, or read by what it is for.

`sh` blocks of a page are pasted, in order, into one bash; what a `text` block shows below one is what that prints.
`console` lines are run one by one, where stand-ins take the place of what is another machine's, another program's, or
takes long and is tested elsewhere. (The pages in Japanese have the same blocks: `test_languages`.)
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from gravscope.guard import MESSAGE
from gravscope.records import model
from tests.readme import masked, play, same_everywhere, tour, variants, with_outputs
from tests.support import PATIENCE, REPOSITORY, Gravscope, installed, until
from tests.test_docs import READMES, SCHEMA, TWINS, blocks

README = READMES[0]
RECIPES = REPOSITORY / "docs" / "recipes.md"
BLOCKS = [block for english, _ in TWINS for block in blocks(english)]
# a line that two pages have is run once
LINES = list(dict.fromkeys(line for info, text in BLOCKS if info == "console" for line in text.splitlines()))
# what the console's lines may exit with beside 0: doctor, where scopes do not work
OTHERWISE = {"gravscope doctor": 5, "gravscope doctor --fix": 5}
# `ssh HOST COMMAND`: in the home folder, with next to no environment
SSH = 'cd; exec env -i HOME="$HOME" PATH="$PATH" sh -c "$2"'


@dataclass(frozen=True)
class Reader:
    """Somebody who has `gravscope` on PATH, a home, and stands in an empty folder."""

    tools: Path
    home: Path
    environ: dict[str, str]

    def program(self, name: str, text: str, folder: Path | None = None) -> None:
        """Puts a shell script of that name on PATH, or into a folder."""
        path = (folder or self.tools) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def bash(self, script: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """What is pasted there."""
        return subprocess.run(
            ["bash", "-c", f"set -e\n{script}"],
            env={**self.environ, **environ},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            check=False,
        )


@pytest.fixture
def reader(gravscope: Gravscope) -> Iterator[Reader]:
    """Somebody like that; what is started by them is ended afterwards."""
    tools, home, folders = (gravscope.folder / name for name in ("tools", "home", "folders"))
    home.mkdir()
    folders.mkdir()
    given = {name: text for name, text in gravscope.environ.items() if not name.startswith("GRAVSCOPE_")}
    reader = Reader(
        tools, home, {**given, "PATH": f"{tools}:{given['PATH']}", "HOME": str(home), "TMPDIR": str(folders)}
    )
    installed(reader.tools, checkout=True)
    yield reader
    for jobs_dir in [*folders.glob("*/tmp/jobs"), home / "project/tmp/jobs"]:
        gravscope.jobs_dir = jobs_dir
        gravscope.clean_up()


@pytest.fixture
def project(reader: Reader) -> Path:
    """A project in the reader's home, with a script, and a virtual environment that has gravscope."""
    folder = reader.home / "project"
    (folder / "scripts").mkdir(parents=True)
    (folder / "gravscope.toml").touch()
    (folder / "fit.py").write_text("print('done')\n")
    installed(folder / ".venv/bin", checkout=True)
    reader.program("python", f'exec "{sys.executable}" "$@"', folder / ".venv/bin")
    return folder


def records_in(folder: Path) -> list[dict[str, Any]]:
    """The records of a project."""
    return [json.loads(path.read_text()) for path in (folder / "tmp/jobs").glob("*.json")]


def test_no_block_is_left_out() -> None:
    """The tests below are for blocks of these kinds; the others are drawings. What is pasted is in two pages."""
    assert {info for info, _ in BLOCKS} == {"", "sh", "text", "console", "crontab", "python", "toml", "make"}
    assert [english for english, _ in TWINS if any(info == "sh" for info, _ in blocks(english))] == [README, RECIPES]
    shown = [block for block in tour(README.read_text()) if block.shown is not None]
    assert len(shown) == sum(info == "text" for info, _ in BLOCKS) >= 5


@pytest.mark.slow
def test_the_tour_shows_what_it_prints(reader: Reader, tmp_path: Path) -> None:
    """Below each block of the tour stands what it prints at a terminal: on this machine, without a user manager."""
    blocks, outputs = play(reader.environ, tmp_path / "folders")
    shown = [output if block.shown is None else block.shown for block, output in zip(blocks, outputs, strict=True)]
    assert masked(outputs) == masked(shown), "if that is as it should be: python -m tests.readme --write"
    assert all(block.shown is not None or not output for block, output in zip(blocks, outputs, strict=True))
    (folder,) = (tmp_path / "folders").iterdir()
    states = {record["name"]: record["state"] for record in records_in(folder)}
    assert states == {"fit": "succeeded", "greedy": "oom-killed", "nap": "cancelled"}


@pytest.mark.slow
def test_the_recipes_can_be_pasted(reader: Reader, tmp_path: Path) -> None:
    """The `sh` blocks, pasted in order, do what the text around them says."""
    script = "".join(text for info, text in blocks(RECIPES) if info == "sh")
    told = tmp_path / "told"
    done = reader.bash(script, tmp_path, GRAVSCOPE_NOTIFY_COMMAND=f'echo "$GRAVSCOPE_MESSAGE" >>{told}')
    assert done.returncode == 0, done.stdout + done.stderr
    said = (
        "ready\ndone\n",
        "Serving HTTP",
        "rate 50",
        "2 here",
        "998\n999\n",
        "nothing to remove: ",
    )
    for words in said:
        assert words in done.stdout, words
    assert re.search("not guarded yet.*refused with exit status 1", done.stdout, re.DOTALL)
    assert re.search(r"^watched_\S+: succeeded$", done.stdout, re.MULTILINE)
    assert MESSAGE in done.stderr
    until(told.exists, "the message")
    assert told.read_text().startswith("gravscope: fit succeeded after ")

    (folder,) = (tmp_path / "folders").iterdir()
    records = records_in(folder)
    states = {record["name"]: record["state"] for record in records}
    cancelled = dict.fromkeys(["web", "stubborn", "room"], "cancelled")
    assert states == {**dict.fromkeys(states, "succeeded"), **cancelled}
    (rerun,) = (record for record in records if record["rerun_of"])
    assert (rerun["name"], rerun["limits"]["mem_max"]) == ("fit", 16 * 2**30)
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    for record in records:
        jsonschema.validate(record, schema)
        assert msgspec.convert(record, model.JobRecord).id == record["id"]


# how what is shown is compared


def test_each_variant_is_the_same_everywhere() -> None:
    """A line that differs with a user manager and without, by the table for readers, is compared as one."""
    assert len(variants()) >= 6
    for managed, alone in variants():
        one, other = (
            f"before {text}\n" if managed and alone else f"{text}\n" * bool(text) for text in (managed, alone)
        )
        assert same_everywhere(one) == same_everywhere(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory limit of 60 MiB (peak 57 MiB)", "memory limit of 61 MiB (peak 57 MiB)"),
        ("cancelled by systemctl stop", "cancelled by SIGKILL to the process group"),
        ("exit status 137", "exit status 0"),
        ("holds     unit a in gravscope.slice", "holds     unit a in other.slice"),
    ],
)
def test_what_says_something_else_is_told_apart(one: str, other: str) -> None:
    """Limits, steps and statuses that are others are not taken for the same."""
    whole = "the kernel killed the whole job at the job's own "
    assert masked([whole + one]) != masked([whole + other])


def test_outputs_are_put_where_they_belong() -> None:
    """Only a `text` block right below an `sh` block is changed, and a block that shows nothing keeps nothing."""
    page = "```sh\na\n```\nx\n```sh\nb\n```\n```text\nold\n```\n```text\nkept\n```\n"
    assert with_outputs(page, ["", "new\n"]) == page.replace("old", "new")
    assert [block.shown for block in tour(page)] == [None, "old\n"]


# the other blocks


@pytest.mark.slow
@pytest.mark.needs("jq")
def test_the_consoles_lines(reader: Reader, project: Path, tmp_path: Path) -> None:
    """Each line runs, in a project with one job, and what is another program's is called as that wants it."""
    called = tmp_path / "called"
    for name, more in {
        "make": "",
        "man": "",
        "codex": "echo agent",
        "loginctl": "",
        "systemctl": "exit 1",
        "ssh": SSH,
    }.items():
        reader.program(name, f'echo {name} "$@" >>{called}; {more}')
    reader.program("python3", f'echo python3 "$@" >>{called}')
    reader.program("pip", f'echo pip "$@" >>{called}', project / ".venv/bin")
    (project / "scripts/swap_extend.sh").write_text(f'echo swap_extend "$@" >>{called}\n')
    assert reader.bash("gravscope run --wait -- true", project).returncode == 0
    printed = {}
    for line in LINES:
        assert line.startswith("$ ")
        done = reader.bash(line[2:], project)
        assert done.returncode in (0, OTHERWISE.get(line[2:])), f"{line}\n{done.stdout}{done.stderr}"
        printed[line[2:]] = done.stdout
    # without what gravscope itself asks of the system
    asked = [line for line in called.read_text().splitlines() if not line.startswith(("systemctl ", "loginctl show"))]
    assert [line.partition(" cd ")[0] for line in asked] == [
        "make demo", "make test", "make setup", "python3 -m venv .venv", f"pip install {reader.home}/src/gravscope",
        "codex", "loginctl enable-linger", "ssh host", "swap_extend -s 8G --dry-run", "swap_extend -s 8G",
        "man gravscope",
    ]  # fmt: skip
    assert printed["gravscope run --fg -n agent --mem-max 8G -- codex"] == "agent\n"
    assert {record["name"] for record in records_in(project)} == {"true", "agent", "fit"}
    for script in (".local/share/bash-completion/completions/gravscope", ".config/fish/completions/gravscope.fish"):
        assert "gravscope" in (reader.home / script).read_text()
    assert (reader.home / ".zfunc/_gravscope").read_text().startswith("#compdef gravscope")


def test_the_line_for_cron(reader: Reader, project: Path) -> None:
    """It runs a job from where, and with what, cron runs it: the home folder, and next to no environment."""
    (text,) = (text for info, text in BLOCKS if info == "crontab")
    command = text.removeprefix("0 3 * * * ").replace("/home/me/project", str(project))
    bare = shlex.join(["env", "-i", f"HOME={reader.home}", f"PATH={reader.environ['PATH']}", "sh", "-c", command])
    done = reader.bash(bare, reader.home)
    assert done.returncode == 0, done.stderr
    (record,) = records_in(project)
    assert (record["name"], record["limits"]["mem_max"]) == ("nightly", 8 * 2**30)
    assert reader.bash("gravscope wait nightly", project).returncode == 0


def test_the_python(reader: Reader, project: Path) -> None:
    """The program prints what it says: exit status, state and log of its job."""
    (text,) = (text for info, text in BLOCKS if info == "python")
    done = reader.bash(f'"{sys.executable}" -c {shlex.quote(text)}', project, PYTHONPATH=str(REPOSITORY))
    assert (done.returncode, done.stderr) == (0, "")
    (record,) = records_in(project)
    assert done.stdout == f"0 succeeded {record['log_file']}\n"


def test_the_settings(reader: Reader, tmp_path: Path) -> None:
    """In a pyproject.toml they hold, and without the heading in a gravscope.toml, too."""
    (text,) = (text for info, text in BLOCKS if info == "toml")
    bare = text.replace("[tool.gravscope]\n", "").replace("[tool.gravscope.", "[")
    for name, content in (("pyproject.toml", text), ("gravscope.toml", bare)):
        folder = tmp_path / "folders" / name
        folder.mkdir()
        (folder / name).write_text(content)
        done = reader.bash("gravscope config --json rep6_ab_full", folder)
        found = {key: entry["value"] for key, entry in json.loads(done.stdout)["settings"].items()}
        assert (found["jobs_dir"], found["log_dir"]) == (f"{folder}/tmp/jobs", f"{folder}/tmp/logs")
        assert (found["mem_max"], found["mem_high"]) == ("8G", "6G")


def test_the_line_for_make(reader: Reader, tmp_path: Path) -> None:
    """Below a first target, that stays the default, and has a twin."""
    (text,) = (text for info, text in BLOCKS if info == "make")
    (tmp_path / "Makefile").write_text(f"report: ; @echo made\n{text}")
    assert reader.bash("make", tmp_path).stdout == "made\n"
    assert "report" in reader.bash("make --dry-run report-bg", tmp_path).stdout
