"""Settings: whose they are, which place wins, and the messages about wrong ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gravscope.base.errors import UsageError
from gravscope.settings.project import Project, find_project
from tests.support import REPOSITORY


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose home and state folders are in the test's folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder some levels down, in an outer and an inner folder."""
    folder = tmp_path / "outer" / "inner" / "src"
    folder.mkdir(parents=True)
    return folder


def value(project: Project, key: str) -> object:
    """The value of a setting for all jobs."""
    return project.settings_for()[key].value


def test_outside_of_any_project_jobs_are_the_users(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """If no folder upwards has settings, records and logs go to the user's state folder."""
    found = find_project(deep, state)
    assert found.root is None
    assert found.jobs_dir == tmp_path / "state/gravscope/jobs"
    assert found.log_dir == tmp_path / "state/gravscope/logs"
    assert (value(found, "memsafe"), value(found, "memsafe_env.OMP_NUM_THREADS")) == (True, "1")


@pytest.mark.parametrize("given", [None, "", "state", "./state", "../state"])
def test_a_relative_state_home_is_ignored(deep: Path, tmp_path: Path, state: dict[str, str], given: str | None) -> None:
    """As in the XDG specification: if unset, empty or relative, ~/.local/state is used."""
    environ = {} if given is None else {"XDG_STATE_HOME": given}
    assert find_project(deep, environ).jobs_dir == tmp_path / "home/.local/state/gravscope/jobs"


def test_a_project_has_folders_of_its_own(deep: Path, state: dict[str, str]) -> None:
    """An empty gravscope.toml makes a project: its folders are in it, from any folder inside the project."""
    root = deep.parent
    (root / "gravscope.toml").touch()
    for cwd in (root, deep):
        found = find_project(cwd, state)
        assert (found.root, found.jobs_dir, found.log_dir) == (root, root / "tmp/jobs", root / "tmp/logs")


def test_the_settings_are_taken(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """Relative folders are in the project, ~ is the home folder, and memsafe can be turned off."""
    (deep / "gravscope.toml").write_text('jobs_dir = "var/jobs"\nlog_dir = "~/logs"\nmemsafe = false\n')
    found = find_project(deep, state)
    assert (found.jobs_dir, found.log_dir) == (deep / "var/jobs", tmp_path / "home/logs")
    assert value(found, "memsafe") is False


def test_the_nearest_settings_win(deep: Path, state: dict[str, str]) -> None:
    """Of two nested projects only the inner one counts; no setting of the outer one is used."""
    inner, outer = deep.parent, deep.parent.parent
    (outer / "gravscope.toml").write_text('jobs_dir = "outer"\nlog_dir = "outer-logs"\nmemsafe = false\n')
    (inner / "pyproject.toml").write_text('[tool.gravscope]\njobs_dir = "inner"\n')
    found = find_project(deep, state)
    assert (found.root, found.jobs_dir, found.log_dir) == (inner, inner / "inner", inner / "tmp/logs")
    assert value(found, "memsafe") is True
    (deep / "gravscope.toml").write_text('log_dir = "here"\n')
    found = find_project(deep, state)
    assert (found.root, found.jobs_dir, found.log_dir) == (deep, deep / "tmp/jobs", deep / "here")


def test_its_own_file_beats_pyproject(deep: Path, state: dict[str, str]) -> None:
    """If a folder has both, both count; gravscope.toml is stronger, but not over the settings of one job."""
    (deep / "gravscope.toml").write_text('jobs_dir = "own"\nmem_high = "1G"\nmem_max = "3G"\n')
    (deep / "pyproject.toml").write_text(
        '[tool.gravscope]\njobs_dir = "shared"\nlog_dir = "shared"\nmem_max = "2G"\n'
        '[tool.gravscope.jobs.fit]\nmem_high = "2G"\n'
    )
    found = find_project(deep, state)
    assert (found.jobs_dir, found.log_dir) == (deep / "own", deep / "shared")
    assert (value(found, "mem_high"), value(found, "mem_max")) == ("1G", "3G")
    assert found.settings_for("fit")["mem_high"].value == "2G"


@pytest.mark.parametrize("config", [None, "", "relative", "/"])
def test_the_users_file_is_the_stronger_one(
    deep: Path, tmp_path: Path, state: dict[str, str], config: str | None
) -> None:
    """The file in $XDG_CONFIG_HOME if that is absolute, else in ~/.config. It overrides the project's settings for all
    jobs, including folders, but not those for one job."""
    home = tmp_path / "config" if config == "/" else tmp_path / "home/.config"
    environ = state if config is None else {**state, "XDG_CONFIG_HOME": str(home) if config == "/" else config}
    (home / "gravscope").mkdir(parents=True)
    (home / "gravscope/config.toml").write_text('log_dir = "mine"\nmem_high = "1G"\nmem_max = "2G"\n')
    found = find_project(deep, environ)
    assert (found.root, found.log_dir) == (None, tmp_path / "state/gravscope/mine")
    (deep / "gravscope.toml").write_text(
        'log_dir = "its"\njobs_dir = "its"\nmem_high = "3G"\ngrace = "3s"\n[jobs.fit]\nmem_high = "4G"\n'
    )
    found = find_project(deep, environ)
    assert (found.jobs_dir, found.log_dir) == (deep / "its", deep / "mine")
    assert (value(found, "mem_high"), value(found, "mem_max"), value(found, "grace")) == ("1G", "2G", "3s")
    fit = found.settings_for("fit")
    assert (fit["mem_high"].value, fit["mem_max"].value) == ("4G", "2G")


def test_a_relative_folder_of_the_users_is_each_projects_own(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """So a name never means a job of another project. With ~ or an absolute path, all projects share it."""
    users = tmp_path / "home/.config/gravscope/config.toml"
    users.parent.mkdir(parents=True)
    users.write_text('jobs_dir = ".jobs"\nlog_dir = "~/logs"\n')
    for root in (deep, deep.parent):
        (root / "gravscope.toml").write_text('log_dir = "its"\n')
        found = find_project(root, state)
        assert (found.jobs_dir, found.log_dir) == (root / ".jobs", tmp_path / "home/logs")
    users.write_text('jobs_dir = "/all/jobs"\n')
    assert find_project(deep, state).jobs_dir == Path("/all/jobs")


def test_without_a_home_there_are_no_settings_of_the_users(
    deep: Path, state: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's user without an entry in /etc/passwd can run jobs if the folders are given."""
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert [layer.file for layer in find_project(deep, state).layers] == [None]


def test_without_settings_no_time_is_lost(deep: Path, state: dict[str, str]) -> None:
    """Without a file of ours, no module is loaded to read one: many short commands run in such folders."""
    (deep / "pyproject.toml").write_text('[project]\nname = "x"\n')
    code = (
        "import sys; from pathlib import Path; from gravscope.settings.project import find_project\n"
        f"find_project(Path({str(deep)!r}), {state!r}).settings_for('fit')\n"
        "sys.exit('tomllib' in sys.modules or 'difflib' in sys.modules)"
    )
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0


@pytest.mark.parametrize("text", ["", "this is no TOML", '[project]\nname = "x"\n', "[tool.ruff]\n", "tool = 3\n"])
def test_a_pyproject_of_others_is_no_project(deep: Path, state: dict[str, str], text: str) -> None:
    """A pyproject.toml without [tool.gravscope] is ignored, and the search continues upwards."""
    (deep / "pyproject.toml").write_text(text)
    (deep.parent / "pyproject.toml").write_text("[tool.gravscope]\n")
    assert find_project(deep, state).root == deep.parent


@pytest.mark.parametrize("name", ["gravscope.toml", "pyproject.toml"])
def test_the_environment_overrides_settings(deep: Path, tmp_path: Path, state: dict[str, str], name: str) -> None:
    """GRAVSCOPE_JOBS_DIR and GRAVSCOPE_LOG_DIR override a project's folders; empty ones count as unset."""
    table = "[tool.gravscope]\n" if name == "pyproject.toml" else ""
    (deep / name).write_text(f'{table}jobs_dir = "a"\nlog_dir = "b"\n')
    both = {**state, "GRAVSCOPE_JOBS_DIR": str(tmp_path / "J"), "GRAVSCOPE_LOG_DIR": "L"}
    found = find_project(deep, both)
    assert (found.jobs_dir, found.log_dir) == (tmp_path / "J", deep / "L")
    found = find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": "", "GRAVSCOPE_LOG_DIR": ""})
    assert (found.jobs_dir, found.log_dir) == (deep / "a", deep / "b")


def test_the_environment_overrides_the_users_folders(deep: Path, tmp_path: Path, state: dict[str, str]) -> None:
    """Also outside of any project."""
    found = find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": str(tmp_path / "J")})
    assert (found.jobs_dir, found.log_dir) == (tmp_path / "J", tmp_path / "state/gravscope/logs")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('job_dir = "x"\n', "unknown setting job_dir; did you mean jobs_dir?"),
        ("jobs_dir = 3\n", "jobs_dir must be a folder's name, not an integer"),
        ("log_dir = []\n", "log_dir must be a folder's name, not an array"),
        ('log_dir = ""\n', "log_dir: '' is no folder's name"),
    ],
)
@pytest.mark.parametrize("name", ["gravscope.toml", "pyproject.toml"])
def test_a_wrong_setting_is_named(deep: Path, state: dict[str, str], name: str, text: str, complaint: str) -> None:
    """For an unknown setting or an invalid folder, a UsageError names the file, the line and the setting."""
    path = deep / name
    path.write_text(("[tool.gravscope]\n" if name == "pyproject.toml" else "") + text)
    with pytest.raises(UsageError) as refused:
        find_project(deep, state)
    assert str(refused.value) == f"{path}:{2 if name == 'pyproject.toml' else 1}: {complaint}"


def test_what_is_wrong_for_jobs_does_not_hide_them(deep: Path, state: dict[str, str]) -> None:
    """Records are found even if no job can be started with these settings: a running job must be cancellable."""
    (deep / "gravscope.toml").write_text('jobs_dir = "here"\nmem_high = "lots"\n[jobs.fit]\nmemory = 3\n')
    found = find_project(deep, {**state, "GRAVSCOPE_MEM_MAX": "lots"})
    assert found.jobs_dir == deep / "here"
    with pytest.raises(UsageError, match="toml:2: mem_high: 'lots' is not a size"):
        found.settings_for("other")


@pytest.mark.parametrize("data", [b"jobs_dir = \n", b"[tool", b'jobs_dir = "\xff"\n', b"\0"])
def test_a_file_that_is_no_toml_is_named(deep: Path, state: dict[str, str], data: bytes) -> None:
    """For half a file, or one that is not text, a UsageError names it and says what to do."""
    (deep / "gravscope.toml").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        find_project(deep, state)
    assert refused.value.message.startswith(f"{deep / 'gravscope.toml'}: ")
    assert refused.value.hint is not None


@pytest.mark.parametrize("value", ["3", '"x"', "[]", "true"])
def test_a_table_that_is_none_is_named(deep: Path, state: dict[str, str], value: str) -> None:
    """If `tool.gravscope` is not a table, there is a UsageError, not a traceback."""
    (deep / "pyproject.toml").write_text(f"[tool]\ngravscope = {value}\n")
    with pytest.raises(UsageError, match="must be a table"):
        find_project(deep, state)


def test_a_home_that_is_not_there_is_named(deep: Path, state: dict[str, str]) -> None:
    """A ~ for an unknown user gives a UsageError, not a traceback."""
    with pytest.raises(UsageError, match="no such home folder"):
        find_project(deep, {**state, "GRAVSCOPE_JOBS_DIR": "~no-such-user-here/jobs"})


def test_a_folder_above_that_is_not_ours_to_search_has_no_settings(
    deep: Path, tmp_path: Path, state: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If `sudo -u` leaves us below another user's private folder, the search continues instead of failing."""
    private, real = str(deep.parent), os.stat

    def stat(path: str | Path | int, **options: object) -> os.stat_result:
        if str(path).startswith(private):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)  # type: ignore[arg-type]

    (deep.parent / "gravscope.toml").touch()
    (tmp_path / "gravscope.toml").touch()
    monkeypatch.setattr(os, "stat", stat)
    assert find_project(deep, state).root == tmp_path
