"""Completion as a person has it: real shells, in which Tab is pressed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gravscope.cli.app import app
from gravscope.cli.command_tree import read
from gravscope.cli.complete import RECENT, complete
from gravscope.cli.completion import Shell, script
from tests.cli.terminal import Terminal
from tests.needs import need, needing
from tests.support import REPOSITORY, clean_environment

# live jobs have a lock; the newest is not the first name in the alphabet, nor the live one the newest
LIVE = "nap_20260101_120000"
ALSO_LIVE = "air_20260101_110000"
ENDED = ["zeta_20260102_120000", "fit_20260101_120000_2", "fit_20260101_120000"]
JOBS = ["nap", LIVE, "air", ALSO_LIVE, "zeta", ENDED[0], "fit", *ENDED[1:]]
NAMES = ["nap", "air", "zeta", "fit"]

ZSH = pytest.param("zsh", marks=pytest.mark.needs("zsh"))
FISH = pytest.param("fish", marks=pytest.mark.needs("fish"))

Tab = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the records of some jobs, as far as their names go, some files, and `gravscope` on a PATH."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "gravscope.toml").write_text('jobs_dir = "jobs"\n')
    (folder / "jobs").mkdir()
    for job_id in [LIVE, ALSO_LIVE, *ENDED, "not plain; x_20260103_120000"]:
        (folder / "jobs" / f"{job_id}.json").touch()
    for job_id in (LIVE, ALSO_LIVE):
        (folder / "jobs" / f"{job_id}.lock").touch()
    (folder / "data folder").mkdir()
    for name in ("file-one", "file-two"):
        (folder / name).touch()
    tools = folder / "tools"
    tools.mkdir()
    for name, text in {
        "gravscope": f'[ "$1" = _complete ] || {{ printf "<%s>" "$@"; echo; exit; }}\n'
        f'exec "{sys.executable}" -m gravscope "$@"\n',
        "some-command": "\n",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}")
        (tools / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    """What the shells see."""
    found = clean_environment()
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "INPUTRC", "FPATH"):
        found.pop(name, None)
    return {**found, "PATH": f"{folder / 'tools'}:{found['PATH']}", "PYTHONPATH": str(REPOSITORY), "HOME": str(folder)}


def text_for(shell: str, folder: Path) -> Path:
    """The file with the script for a shell."""
    if shell != "bash":
        need(shell)
    file = folder / f"gravscope.{shell}"
    file.write_text(script(Shell(shell), read(app)))
    return file


@pytest.fixture(scope="module", params=["bash", ZSH])
def terminal(request: pytest.FixtureRequest, folder: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    """A shell on a terminal, with our completion."""
    found = Terminal(request.param, folder, environ, f". {text_for(request.param, folder)}")
    yield found
    found.close()


@pytest.fixture(scope="module")
@needing("fish")
def fish(folder: Path, environ: dict[str, str]) -> Tab:
    """fish tells without a terminal what it would offer."""
    file = text_for("fish", folder)

    def listed(line: str) -> list[str]:
        code = f"source {file}; complete -C {line!r}"
        done = subprocess.run(
            ["fish", "-c", code], env=environ, cwd=folder, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [row.partition("\t")[0] for row in done.stdout.splitlines()]

    return listed


COMMANDS = {command.words[0] for command in read(app).walk() if command.words}
# a line, and what is offered behind it: in this order (a list), or in the shell's own (a set)
OFFERED: list[tuple[str, list[str] | set[str]]] = [
    ("gravscope ", COMMANDS),
    ("gravscope units ", {"install", "remove", "status"}),
    ("gravscope show ", JOBS),
    ("gravscope cancel --grace 1s nap ", ["nap", LIVE, "air", ALSO_LIVE]),
    ("gravscope wait ", ["nap", LIVE, "air", ALSO_LIVE]),
    ("gravscope limit ", ["nap", LIVE, "air", ALSO_LIVE]),
    ("gravscope pause ", ["nap", LIVE, "air", ALSO_LIVE]),
    ("gravscope resume ", ["nap", LIVE, "air", ALSO_LIVE]),
    ("gravscope cancel fit", set()),
    ("gravscope rerun ", ["zeta", ENDED[0], "fit", *ENDED[1:]]),
    ("gravscope prune ", ["zeta", "fit"]),
    ("gravscope logs ", JOBS),
    ("gravscope help u", {"units"}),
    ("gravscope show fit", ["fit", *ENDED[1:]]),
    ("gravscope show nap ", set()),
    ("gravscope run -n ", NAMES),
    ("gravscope run --wait --name ", NAMES),
    ("gravscope run --launcher ", {"auto", "scope", "session"}),
    ("gravscope run --launcher s", {"scope", "session"}),
    ("gravscope run --launcher=s", {"scope", "session"}),
    ("gravscope run --oom-policy ", {"kill", "continue"}),
    ("gravscope run --mem-max ", set()),
    ("gravscope run -e A=B --mem-max=1G --launcher ", {"auto", "scope", "session"}),
    ("gravscope run --env-file file-", {"file-one", "file-two"}),
    ("gravscope run --env-file=file-", {"file-one", "file-two"}),
    ("gravscope run -n x -- some-command file-", {"file-one", "file-two"}),
    ("gravscope run some-command --w", set()),
    ("gravscope guard check file-", {"file-one", "file-two"}),
    ("gravscope wait --t", {"--timeout"}),
    ("gravscope wait --", {"--timeout", "--ready", "--json", "--help"}),
    ("gravscope wait -- --", set()),
    ("gravscope units install --dry", {"--dry-run"}),
    ("gravscope completion ", {"bash", "zsh", "fish"}),
    ("gravscope nonsense ", set()),
]


@pytest.mark.parametrize(("line", "offered"), [row for row in OFFERED if len(row[1]) != 1])
def test_tab_offers(terminal: Terminal, line: str, offered: list[str] | set[str]) -> None:
    """bash and zsh offer what may follow, jobs in our order: live ones first."""
    found = terminal.listed(line)
    assert (found if isinstance(offered, list) else set(found)) == offered


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_fish_offers(fish: Tab, line: str, offered: list[str] | set[str]) -> None:
    """So does fish, which says the word again where its value belongs to it."""
    found = [word.partition("=")[2] or word for word in fish(line)]
    assert (found if isinstance(offered, list) else set(found)) == offered


def test_fish_completes_the_jobs_own_command(fish: Tab) -> None:
    """What is to be run is found on PATH; and folders have names with spaces."""
    assert fish("gravscope run -n x some-c") == ["some-command"]
    assert fish("gravscope run --cwd da") == ["data folder/"]
    assert fish("gravscope show fit_") == ENDED[1:]


@pytest.mark.parametrize(
    ("line", "ran"),
    [
        ("gravscope sho", "<show>"),
        ("gravscope show z", "<show><zeta"),
        ("gravscope show zeta_", f"<show><{ENDED[0]}>"),
        ("gravscope units ins", "<units><install>"),
        ("gravscope run --launcher=se", "<run><--launcher=session>"),
        ("gravscope run --oom-policy k", "<run><--oom-policy><kill>"),
        ("gravscope run --cwd da", "<run><--cwd><data folder"),
        ("gravscope run -n x -- some-c", "<run><-n><x><--><some-command>"),
        ("gravscope run --env-f", "<run><--env-file"),
    ],
)
def test_tab_completes(terminal: Terminal, line: str, ran: str) -> None:
    """What can be only one thing is put into the line, quoted where it has to be."""
    assert terminal.run(line).startswith(ran)


def test_by_a_path(terminal: Terminal, folder: Path) -> None:
    """Typed with its path, gravscope is completed as well, and asks that very program."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    (folder / "elsewhere" / "gravscope").write_text('#!/bin/sh\n[ "$1" = _complete ] && echo from-there\n')
    (folder / "elsewhere" / "gravscope").chmod(0o755)
    assert terminal.listed("~/tools/gravscope run -n ") == NAMES
    (folder / "elsewhere" / "gravscope").write_text('#!/bin/sh\nprintf "%s\\n" "here\tlive" "there\tended"\n')
    assert terminal.listed("elsewhere/gravscope show ") == ["here", "there"]


@pytest.mark.needs("zsh")
def test_zsh_finds_it_by_itself(folder: Path, environ: dict[str, str]) -> None:
    """As a file _gravscope in a folder of fpath, loaded at the first Tab."""
    functions = folder / "functions"
    functions.mkdir()
    shutil.copy(text_for("zsh", folder), functions / "_gravscope")
    found = Terminal("zsh", folder, {**environ, "FPATH": f"{functions}:{_fpath(environ)}"}, "")
    assert found.listed("gravscope show ") == JOBS
    assert found.listed("gravscope show fit") == ["fit", *ENDED[1:]]
    found.close()


def _fpath(environ: dict[str, str]) -> str:
    argv = ["zsh", "-f", "-c", "print -n $FPATH"]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout


# what it is made of


def test_the_command_prints_the_script(environ: dict[str, str], folder: Path) -> None:
    """`gravscope completion` prints it, or JSON; another word than a shell's is a usage error."""
    argv = [sys.executable, "-m", "gravscope", "completion"]
    for shell in Shell:
        done = subprocess.run([*argv, shell], env=environ, cwd=folder, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (script(shell, read(app)), "")
        assert not re.search(r"#[a-z]+#", done.stdout)
    done = subprocess.run([*argv, "csh"], env=environ, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("shell", ["bash", ZSH, FISH])
def test_the_shell_reads_the_script(shell: str, folder: Path) -> None:
    """Without a complaint, strictly, and without a Tab asking anybody."""
    done = subprocess.run([shell, "-n", text_for(shell, folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_option_is_in_every_script() -> None:
    """Each command and option of the help can be completed; nothing is written down twice."""
    for command in read(app).walk():
        for option in command.options:
            for name in option.names:
                assert f"{name}" in script(Shell.BASH, command)
                assert f"){name}" in script(Shell.ZSH, command) or f"*{name}" in script(Shell.ZSH, command)
                fish = f"-l {name[2:]} " if name.startswith("--") else f"-s {name[1:]} "
                assert fish in script(Shell.FISH, command)


# what the shells ask


def test_ids_of_the_last_and_of_what_is_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All names, ids of live jobs and of the last ones; all ids of a name once that is typed."""
    many = [f"many_20250101_{number:06d}" for number in range(3 * RECENT)]
    monkeypatch.setattr(os, "listdir", lambda _folder: [f"{job}.json" for job in [*many, LIVE]] + [f"{LIVE}.lock"])
    monkeypatch.chdir(folder)
    words = [line.partition("\t")[0] for line in complete("jobs", "")]
    assert words == ["nap", LIVE, "many", *many[: -RECENT - 1 : -1]]
    assert [line.partition("\t")[0] for line in complete("jobs", "many")] == ["many", *many[::-1]]
    assert complete("jobs", "nap") == ["nap\tlive", f"{LIVE}\tlive"]
    assert complete("names", "") == ["nap\tlive", "many\tended"]
    assert complete("live", "") == ["nap\tlive", f"{LIVE}\tlive"]
    assert complete("ended", "n") == []
    assert complete("ended-names", "") == ["many\tended"]


def test_a_name_is_offered_for_its_newest_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name means the newest job of it: where that has ended, an older one that lives is offered by its id alone."""
    old, new = "fit_20260101_120000", "fit_20260102_120000"
    monkeypatch.setattr(os, "listdir", lambda _folder: [f"{old}.json", f"{new}.json", f"{old}.lock"])
    monkeypatch.chdir(folder)
    assert complete("live", "") == [f"{old}\tlive"]
    assert complete("ended", "") == ["fit\tended", f"{new}\tended"]
    assert complete("jobs", "") == ["fit\tlive", f"{old}\tlive", f"{new}\tended"]


@pytest.mark.parametrize("broken", ["jobs_dir = 3", "[[[", None])
def test_nothing_is_said_at_a_prompt(tmp_path: Path, environ: dict[str, str], broken: str | None) -> None:
    """Broken settings, or no records at all, offer nothing, and say nothing."""
    if broken is not None:
        (tmp_path / "gravscope.toml").write_text(broken)
    argv = [sys.executable, "-m", "gravscope", "_complete", "jobs", ""]
    done = subprocess.run(
        argv, env={**environ, "HOME": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_loads_little(folder: Path, environ: dict[str, str]) -> None:
    """Somebody waits for it: neither Typer nor msgspec comes along."""
    code = (
        "import sys\nfrom gravscope.cli import status_of\n"
        "status_of(['_complete', 'jobs', ''])\nprint(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=folder, capture_output=True, text=True, check=False
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "gravscope" in loaded
    assert not {"typer", "msgspec", "rich", "subprocess", "asyncio"} & loaded
    assert done.stdout.splitlines()[0] == "nap\tlive"
