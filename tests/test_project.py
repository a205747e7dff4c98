"""Settings: whose they are, which of them win, and what is said of the wrong ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gravscope.errors import UsageError
from gravscope.project import MEMSAFE_ENV, find_project


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose home and state folder are under the test's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder some way down in an outer and an inner one."""
    folder = tmp_path / "outer" / "inner" / "src"
    folder.mkdir(parents=True)
    return folder


def test_outside_of_any_project_jobs_are_the_users(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """Without settings anywhere upwards, records and logs go to the user's state folder."""
    found = find_project(deep, state)
    assert (found.root, found.memsafe) == (None, True)
    assert found.jobs_dir == tmp_path / "state/gravscope/jobs"
    assert found.log_dir == tmp_path / "state/gravscope/logs"
    assert found.memsafe_env == MEMSAFE_ENV


@pytest.mark.parametrize("given", [None, "", "state", "./state", "../state"])
def test_a_relative_state_home_is_ignored(deep: Path, tmp_path: Path, state: dict[str, str], given: str | None) -> None:
    """As the XDG specification has it: unset, empty or relative means ~/.local/state."""
    environ = {} if given is None else {"XDG_STATE_HOME": given}
    assert find_project(deep, environ).jobs_dir == tmp_path / "home/.local/state/gravscope/jobs"


def test_a_project_has_folders_of_its_own(deep: Path, state: dict[str, str]) -> None:
    """An empty gravscope.toml makes a project: its folders are below it, wherever inside of it one stands."""
    root = deep.parent
    (root / "gravscope.toml").touch()
    for cwd in (root, deep):
        found = find_project(cwd, state)
        assert (found.root, found.jobs_dir, found.log_dir) == (root, root / "tmp/jobs", root / "tmp/logs")


def test_the_settings_are_taken(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """Relative folders are the project's, ~ is the home folder, and memsafe can be turned off."""
    (deep / "gravscope.toml").write_text('jobs_dir = "var/jobs"\nlog_dir = "~/logs"\nmemsafe = false\n')
    found = find_project(deep, state)
    assert (found.jobs_dir, found.log_dir, found.memsafe) == (deep / "var/jobs", tmp_path / "home/logs", False)


def test_the_nearest_settings_win(deep: Path, state: dict[str, str]) -> None:
    """Of two projects around a folder the inner one counts alone; none of the outer's settings leak in."""
    inner, outer = deep.parent, deep.parent.parent
    (outer / "gravscope.toml").write_text('jobs_dir = "outer"\nlog_dir = "outer-logs"\nmemsafe = false\n')
    (inner / "pyproject.toml").write_text('[tool.gravscope]\njobs_dir = "inner"\n')
    found = find_project(deep, state)
    assert (found.root, found.jobs_dir, found.log_dir) == (inner, inner / "inner", inner / "tmp/logs")
    assert found.memsafe is True
    (deep / "gravscope.toml").write_text('log_dir = "here"\n')
    found = find_project(deep, state)
    assert (found.root, found.jobs_dir, found.log_dir) == (deep, deep / "tmp/jobs", deep / "here")


def test_its_own_file_beats_pyproject(deep: Path, state: dict[str, str]) -> None:
    """In one folder gravscope.toml counts, not the table in pyproject.toml."""
    (deep / "gravscope.toml").write_text('jobs_dir = "own"\n')
    (deep / "pyproject.toml").write_text('[tool.gravscope]\njobs_dir = "shared"\n')
    assert find_project(deep, state).jobs_dir == deep / "own"


@pytest.mark.parametrize("text", ["", '[project]\nname = "x"\n', "[tool.ruff]\n", "tool = 3\n"])
def test_a_pyproject_of_others_is_no_project(deep: Path, state: dict[str, str], text: str) -> None:
    """Without [tool.gravscope] a pyproject.toml is passed by, and the search goes on upwards."""
    (deep / "pyproject.toml").write_text(text)
    (deep.parent / "pyproject.toml").write_text("[tool.gravscope]\n")
    assert find_project(deep, state).root == deep.parent


@pytest.mark.parametrize("name", ["gravscope.toml", "pyproject.toml"])
def test_the_environment_overrides_settings(deep: Path, tmp_path: Path, state: dict[str, str], name: str) -> None:
    """GRAVSCOPE_JOBS_DIR and GRAVSCOPE_LOG_DIR win over a project's; empty ones count as unset."""
    table = "[tool.gravscope]\n" if name == "pyproject.toml" else ""
    (deep / name).write_text(f'{table}jobs_dir = "a"\nlog_dir = "b"\n')
    both = {**state, "GRAVSCOPE_JOBS_DIR": str(tmp_path / "J"), "GRAVSCOPE_LOG_DIR": "L"}
    found = find_project(deep, both)
    assert (found.jobs_dir, found.log_dir) == (tmp_path / "J", deep / "L")
    found = find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": "", "GRAVSCOPE_LOG_DIR": ""})
    assert (found.jobs_dir, found.log_dir) == (deep / "a", deep / "b")


def test_the_environment_overrides_the_users_folders(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """Outside of any project too."""
    found = find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": str(tmp_path / "J")})
    assert (found.jobs_dir, found.log_dir) == (tmp_path / "J", tmp_path / "state/gravscope/logs")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('job_dir = "x"\n', "unknown setting 'job_dir'; known are jobs_dir, log_dir, memsafe"),
        ("jobs_dir = 3\n", "jobs_dir must be a str, not 3"),
        ("log_dir = []\n", "log_dir must be a str, not []"),
        ("memsafe = 1\n", "memsafe must be a bool, not 1"),
        ('memsafe = "no"\n', "memsafe must be a bool, not 'no'"),
    ],
)
@pytest.mark.parametrize("name", ["gravscope.toml", "pyproject.toml"])
def test_a_wrong_setting_is_named(deep: Path, state: dict[str, str], name: str, text: str, complaint: str) -> None:
    """An unknown setting or one of the wrong type is a UsageError that names the file, the setting and the value."""
    path = deep / name
    path.write_text(("[tool.gravscope]\n" if name == "pyproject.toml" else "") + text)
    with pytest.raises(UsageError) as refused:
        find_project(deep, state)
    assert str(refused.value) == f"{path}: {complaint}"


@pytest.mark.parametrize("data", [b"jobs_dir = \n", b"[tool", b'jobs_dir = "\xff"\n', b"\0"])
def test_a_file_that_is_no_toml_is_named(deep: Path, state: dict[str, str], data: bytes) -> None:
    """Half a file, or one that is no text, is a UsageError that names it and says what to do."""
    (deep / "gravscope.toml").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        find_project(deep, state)
    assert refused.value.message.startswith(f"{deep / 'gravscope.toml'}: ")
    assert refused.value.hint is not None


@pytest.mark.parametrize("value", ["3", '"x"', "[]", "true"])
def test_a_table_that_is_none_is_named(deep: Path, state: dict[str, str], value: str) -> None:
    """`tool.gravscope` that is no table is a UsageError, not a traceback."""
    (deep / "pyproject.toml").write_text(f"[tool]\ngravscope = {value}\n")
    with pytest.raises(UsageError, match="must be a table"):
        find_project(deep, state)


def test_a_home_that_is_not_there_is_named(deep: Path, state: dict[str, str]) -> None:
    """A ~ that means nobody is a UsageError, not a traceback."""
    with pytest.raises(UsageError, match="no such home folder"):
        find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": "~no-such-user-here/jobs"})


def test_a_folder_above_that_is_not_ours_to_search_has_no_settings(
    deep: Path, tmp_path: Path, state: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sudo -u leaves us below somebody's private folder, the search goes on instead of failing."""
    private, real = str(deep.parent), os.stat

    def stat(path: str | Path | int, **options: object) -> os.stat_result:
        if str(path).startswith(private):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)  # type: ignore[arg-type]

    (deep.parent / "gravscope.toml").touch()
    (tmp_path / "gravscope.toml").touch()
    monkeypatch.setattr(os, "stat", stat)
    assert find_project(deep, state).root == tmp_path
