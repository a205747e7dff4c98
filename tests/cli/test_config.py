"""Settings as the command line has them: which win, what is said of wrong ones, and what `gravscope config` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gravscope.cli.config import table
from gravscope.cli.output import columns, cut
from gravscope.settings.known import SETTINGS
from gravscope.settings.layers import setting_of
from tests.support import Gravscope

GIB, MIB = 2**30, 2**20


def write(gravscope: Gravscope, own: str = "", shared: str = "", users: str = "") -> None:
    """The project's gravscope.toml and the table in its pyproject.toml, and the user's own file."""
    (gravscope.folder / "config/gravscope").mkdir(parents=True, exist_ok=True)
    for path, text in (
        ("gravscope.toml", own),
        ("pyproject.toml", shared and f"[tool.gravscope]\n{shared}"),
        ("config/gravscope/config.toml", users),
    ):
        (gravscope.folder / path).write_text(text, encoding="utf-8")


def shown(gravscope: Gravscope, *words: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (any keyword)
    """`gravscope config --json WORDS…`."""
    done = gravscope("config", "--json", *words, **more)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def environment_of(gravscope: Gravscope, *words: str) -> dict[str, str]:
    """What the command of a job with these options sees."""
    job = gravscope.start("-n", "see", *words, "--", "env", "-0")
    gravscope.ended(job)
    return dict(line.split("=", 1) for line in gravscope.log(job).split("\0") if line)


def test_every_place_in_its_order(gravscope: Gravscope) -> None:
    """pyproject.toml, gravscope.toml, the user's file, the environment, options: each wins over those before it, and
    what it does not name is left to them. `config` says the same as the record, and where it comes from."""
    names = ["mem_high", "mem_max", "swap_max", "timeout", "grace"]
    places = enumerate(["shared", "own", "users"])
    write(
        gravscope,
        **{place: "".join(f"{name} = {100 + number}_000_000\n" for name in names[number:]) for number, place in places},
    )
    environ = {"GRAVSCOPE_TIMEOUT": "200", "GRAVSCOPE_GRACE": "200"}
    job = gravscope.start("-n", "fit", "--grace", "300", "--", "true", env=environ)
    record = gravscope.record(job)
    limits = record["limits"]
    assert [limits[name] for name in names[:3]] == [100_000_000, 101_000_000, 102_000_000]
    assert (record["timeout"], record["grace"]) == (200, 300)
    settings = shown(gravscope, "fit", env=environ)["settings"]
    assert [settings[name]["value"] for name in names] == ["100000000", "101000000", "102000000", "200", "200"]
    files = [Path(settings[name]["file"]).name for name in names[:3]]
    assert files == ["pyproject.toml", "gravscope.toml", "config.toml"]
    assert [settings[name]["variable"] for name in names[3:]] == ["GRAVSCOPE_TIMEOUT", "GRAVSCOPE_GRACE"]


def test_a_users_general_default_leaves_a_projects_job_alone(gravscope: Gravscope) -> None:
    """What is said of a job's name wins over a pattern's and that over what is said of all, in whichever file; the
    record has it, and `config` says from where. The environment wins over a job's table, too."""
    write(
        gravscope,
        shared='[tool.gravscope.jobs.fit]\nmem_max = "3G"\n[tool.gravscope.jobs."f*"]\ntimeout = 30\ngrace = 30\n',
        own='[jobs."f*"]\ngrace = 40\n',
        users='mem_max = "1G"\ntimeout = 10\ngrace = 10\n[jobs."*"]\nmem_max = "2G"\n',
    )
    record = gravscope.record(gravscope.start("-n", "fit", "--", "true"))
    assert (record["limits"]["mem_max"], record["timeout"], record["grace"]) == (3 * GIB, 30, 40)
    settings = shown(gravscope, "fit")["settings"]
    sources = [(Path(settings[name]["file"]).name, settings[name]["table"]) for name in ("mem_max", "timeout", "grace")]
    assert sources == [
        ("pyproject.toml", "tool.gravscope.jobs.fit"),
        ("pyproject.toml", 'tool.gravscope.jobs."f*"'),
        ("gravscope.toml", 'jobs."f*"'),
    ]
    other = gravscope.record(gravscope.start("-n", "other", "--", "true", env={"GRAVSCOPE_GRACE": "50"}))
    assert (other["limits"]["mem_max"], other["timeout"], other["grace"]) == (2 * GIB, 10, 50)
    fit = gravscope.record(gravscope.start("-n", "fit", "--", "true", env={"GRAVSCOPE_MEM_MAX": "5G"}))
    assert fit["limits"]["mem_max"] == 5 * GIB
    headings = [line for line in gravscope("config").stdout.splitlines() if line.startswith("[")]
    assert headings == ['[jobs."f*"]', '[jobs."*"]', "[jobs.fit]"]


def test_defaults_of_a_job_reach_its_record(gravscope: Gravscope) -> None:
    """Every setting of its table is in the record of a job of that name, given or taken from its command, and in no
    other's."""
    write(
        gravscope,
        shared='mem_max = "8G"\n[tool.gravscope.jobs.rep6_ab_full]\nmem_high = "6G"\nswap_max = 0\ncpu_quota = "150%"\n'
        'cpu_weight = 50\nio_weight = 20\ntasks_max = 512\ntimeout = "2h"\ngrace = "5s"\noom_policy = "continue"\n'
        'launcher = "session"\nmemsafe = false\nenv = { WORKERS = 2 }\n',
    )
    (gravscope.folder / "rep6_ab_full.sh").write_text("true\n")
    for words in (["-n", "rep6_ab_full", "--", "true"], ["--", "bash", "rep6_ab_full.sh"]):
        record = gravscope.record(gravscope.start(*words))
        assert record["limits"] == {
            "mem_high": 6 * GIB, "mem_max": 8 * GIB, "swap_max": 0, "cpu_quota": 150.0, "tasks_max": 512,
            "cpu_weight": 50, "io_weight": 20,
        }  # fmt: skip
        assert (record["timeout"], record["grace"], record["oom_policy"]) == (7200.0, 5.0, "continue")
        assert (record["memsafe"], record["env"], record["launcher"]) == (False, {"WORKERS": "2"}, "session")
    other = gravscope.record(gravscope.start("-n", "rep6_ab", "--", "true"))
    assert (other["limits"]["mem_high"], other["limits"]["mem_max"]) == (None, 8 * GIB)
    assert (other["timeout"], other["grace"], other["memsafe"], other["env"]) == (None, 10.0, True, {})


def test_the_launcher_is_a_setting(gravscope: Gravscope) -> None:
    """Where a scope is demanded and cannot be had, the job is refused as with the option, which may say otherwise."""
    write(gravscope, own='[jobs.fit]\nlauncher = "scope"\n')
    assert gravscope("run", "-n", "fit", "--", "true").returncode == 5
    assert gravscope("run", "-n", "fit", "--launcher", "auto", "--", "true").returncode == 0


def test_options_take_back_what_is_set(gravscope: Gravscope) -> None:
    """For each setting there is an option, and a word for it, that makes the job as if nothing had been set."""
    write(
        gravscope,
        own='mem_high = "1G"\nmem_max = "2G"\nswap_max = 0\ncpu_quota = "150%"\ntasks_max = 50\ntimeout = 90\n'
        'oom_policy = "continue"\nmemsafe = false\n',
    )
    job = gravscope.start(
        *["--mem-high", "infinity", "--mem-max", "infinity", "--swap-max", "infinity", "--cpu-quota", "infinity"],
        *["--tasks-max", "infinity", "--timeout", "infinity", "--oom-policy", "kill", "--memsafe", "--", "true"],
    )
    record = gravscope.record(job)
    limits = [record["limits"][name] for name in ("mem_high", "mem_max", "swap_max", "cpu_quota", "tasks_max")]
    assert limits == ["infinity", "infinity", "infinity", None, "infinity"]
    assert (record["timeout"], record["oom_policy"], record["memsafe"]) == (None, "kill", True)


def test_variables_for_a_job(gravscope: Gravscope) -> None:
    """`env` is weaker than --env-file and that than -e; memsafe_env is changed one by one, and off with memsafe."""
    write(gravscope, own='env = { A = "set", B = "set", C = "set" }\nmemsafe_env = { OMP_NUM_THREADS = 4, X = "x" }\n')
    (gravscope.folder / "vars").write_text("B=file\nC=file\n")
    seen = environment_of(gravscope, "--env-file", "vars", "-e", "C=typed")
    assert [seen[name] for name in "ABC"] == ["set", "file", "typed"]
    assert [seen[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "X")] == ["4", "1", "x"]
    assert not {"OMP_NUM_THREADS", "X"} & environment_of(gravscope, "--no-memsafe").keys()
    write(gravscope, own='memsafe = false\nmemsafe_env = { X = "x" }\n')
    assert not {"OMP_NUM_THREADS", "X"} & environment_of(gravscope).keys()
    assert environment_of(gravscope, "--memsafe")["X"] == "x"


MISTAKES = [
    ({"own": 'mem_hihg = "6G"\n'}, "gravscope.toml:1: unknown setting mem_hihg; did you mean mem_high?"),
    (
        {"users": '\n[jobs.fit]\nmem-max = "6G"\n'},
        "config.toml:3: unknown setting jobs.fit.mem-max; did you mean mem_max?",
    ),
    ({"shared": "[tool.gravscope.job.fit]\n"}, "pyproject.toml:2: unknown setting job; did you mean jobs?"),
    (
        {"shared": 'mem_high = "lots"\n'},
        "pyproject.toml:2: mem_high: 'lots' is not a size; write it as 6G, 512M, 50% or",
    ),
    ({"own": "[jobs.else]\ntimeout = 0\n"}, "gravscope.toml:2: jobs.else.timeout: 0 leaves no time to run"),
    ({"own": "memsafe = 1\n"}, "gravscope.toml:1: memsafe must be true or false, not an integer"),
    ({"own": "mem_high = \n"}, "gravscope.toml: Invalid value (at line 1, column 12); mend the file"),
    ({"users": "a = '途中\n"}, "config.toml: "),
    (
        {"own": 'env = { API_TOKEN = [ "hunter2" ] }\n'},
        "gravscope.toml:1: env.API_TOKEN must be a string, not an array",
    ),
]


@pytest.mark.parametrize(("files", "complaint"), MISTAKES)
def test_a_mistake_is_one_line(gravscope: Gravscope, files: dict[str, str], complaint: str) -> None:
    """File, line, setting and the nearest name; exit status 2; nothing is left behind, and no secret told."""
    write(gravscope, **files)
    done = gravscope("run", "-n", "fit", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"gravscope: {gravscope.folder}/")
    assert complaint in done.stderr
    assert "hunter2" not in done.stderr
    assert not gravscope.jobs_dir.exists()


def test_config_says_what_run_would_refuse(gravscope: Gravscope) -> None:
    """The way to find out before the night: the same line, and the same exit status, with a job's name and without."""
    write(gravscope, own="[jobs.fit]\ngrace = []\n")
    refused = gravscope("run", "-n", "other", "--", "true")
    for words in ([], ["--json", "other"]):
        done = gravscope("config", *words)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", refused.stderr)


def test_a_wrong_variable_is_one_line(gravscope: Gravscope) -> None:
    """It is named; and one that gravscope does not know is none of its business."""
    write(gravscope)
    done = gravscope("run", "--", "true", env={"GRAVSCOPE_CPU_WEIGHT": "heavy", "GRAVSCOPE_MEM_HIHG": "x"})
    assert done.returncode == 2
    assert done.stderr == "gravscope: GRAVSCOPE_CPU_WEIGHT must be an integer, not a string\n"
    gravscope.start("--", "true", env={"GRAVSCOPE_MEM_HIHG": "x"})


def test_jobs_can_be_seen_and_ended_whatever_is_wrong_for_others(gravscope: Gravscope) -> None:
    """A mistake in what new jobs would get stands in nobody's way who looks at those that run, or ends them."""
    job = gravscope.start("-n", "nap", "--", "sleep", "1000")
    write(gravscope, own='mem_high = "lots"\n[jobs.fit]\nmemory = 3\n')
    environ = {"GRAVSCOPE_GRACE": "soon"}
    assert gravscope("run", "--", "true", env=environ).returncode == 2
    assert job in gravscope("status", env=environ).stdout
    assert gravscope("cancel", job, env=environ).returncode == 0
    assert gravscope.record(job)["state"] == "cancelled"


def test_what_might_have_been_a_folder_is_no_guess(gravscope: Gravscope) -> None:
    """With an unknown name outside of the jobs' tables, nobody is told that there are no jobs in the wrong folder."""
    write(gravscope, own='job_dir = "elsewhere"\n')
    done = gravscope("status")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean jobs_dir?" in done.stderr


# what is shown


def test_config_shows_every_setting_and_where_it_stands(gravscope: Gravscope) -> None:
    """Key, value and place; the tables of jobs below, or with a name what such a job would get. Secrets are hidden."""
    write(
        gravscope,
        own='mem_high = "6G"\n[jobs."rep6_*"]\ntimeout = 80\ngrace = "1s"\n',
        shared='env = { API_TOKEN = "hunter2", PLACE = "銀河", RED = "\\u001b[31m\\n" }\n',
        users='grace = "30s"\n[jobs."rep6_*"]\ntimeout = 90\n',
    )
    environ = {"GRAVSCOPE_MEM_MAX": "8G", "HOME": str(gravscope.folder)}
    done = gravscope("config", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        "KEY VALUE FROM",
        "mem_high 6G gravscope.toml",
        "mem_max 8G GRAVSCOPE_MEM_MAX",
        "swap_max - default",
        "grace 30s …onfig/gravscope/config.toml",
        "memsafe true default",
        "env.API_TOKEN *** pyproject.toml",
        "env.PLACE 銀河 pyproject.toml",
        "env.RED \\x1b[31m\\n pyproject.toml",
    ):
        assert line in lines
    assert (lines[-3], lines[-1]) == ('[jobs."rep6_*"]', 'grace 1s gravscope.toml:jobs."rep6_*"')
    assert lines[-2] == 'timeout 90 …e/config.toml:jobs."rep6_*"'
    assert {setting_of(line.split()[0]) for line in lines[1:-3]} == set(SETTINGS)
    named = [" ".join(line.split()) for line in gravscope("config", "rep6_ab", env=environ).stdout.splitlines()]
    assert any(line.startswith("grace 1s …") and line.endswith('.toml:jobs."rep6_*"') for line in named)
    assert not any(line.startswith("[") for line in named)
    assert "hunter2" not in done.stdout + json.dumps(shown(gravscope, env=environ))


def test_config_as_json(gravscope: Gravscope) -> None:
    """All of it in full: the folders as they are understood, files and tables, and the jobs' tables without a name."""
    write(gravscope, shared='log_dir = "l"\n[tool.gravscope.jobs.fit]\nmemsafe = false\n')
    own = gravscope.folder / "pyproject.toml"
    found = shown(gravscope, env={"GRAVSCOPE_LOG_DIR": ""})
    assert (found["project"], found["name"]) == (str(gravscope.folder), None)
    assert found["files"][:2] == [str(own), str(gravscope.folder / "gravscope.toml")]
    assert found["files"][2:] == [str(gravscope.folder / "config/gravscope/config.toml")]
    at_home = {"from": "environment", "file": None, "table": None, "variable": "GRAVSCOPE_JOBS_DIR"}
    assert found["settings"]["jobs_dir"] == {"value": str(gravscope.jobs_dir), **at_home}
    in_file = {"from": "file", "file": str(own), "variable": None}
    assert found["settings"]["log_dir"] == {
        "value": str(gravscope.folder / "l"),
        "table": "tool.gravscope",
        **in_file,
    }
    assert found["settings"]["mem_high"]["value"] is None
    fit = {"memsafe": {"value": False, "table": "tool.gravscope.jobs.fit", **in_file}}
    assert found["jobs"] == {"fit": fit}
    named = shown(gravscope, "fit")
    assert "jobs" not in named
    assert (named["name"], named["settings"]["memsafe"]) == ("fit", fit["memsafe"])
    assert gravscope("config", "no job").returncode == 2


def test_config_fits_80_columns(gravscope: Gravscope) -> None:
    """However long folders, values and names are, and in Japanese; every place keeps its end."""
    write(
        gravscope,
        shared=f'mem_high = "6G"\n[tool.gravscope.env]\nPLACE = "{"途中経過" * 20}"\n{"LONG_" * 10} = "x"\n'
        f'[tool.gravscope.jobs.{"x" * 100}]\ngrace = "1s"\n',
    )
    deep = gravscope.folder / ("深いフォルダー" * 5) / ("x" * 70)
    deep.mkdir(parents=True)
    done = gravscope("config", cwd=deep, env={"GRAVSCOPE_JOBS_DIR": "", "XDG_CONFIG_HOME": str(deep)})
    lines = done.stdout.splitlines()
    assert max(map(columns, lines)) <= 80
    assert any(
        line.startswith("env.PLACE") and "途中経過" in line and line.endswith("pyproject.toml") for line in lines
    )
    assert lines[-1].endswith("xxxx")
    assert any(line.startswith("jobs_dir") and line.split()[1].endswith("/tmp/jobs") for line in lines)


def test_a_table_to_the_letter() -> None:
    """Keys whole, each cell below its head; a path that is too long loses its front."""
    rows = [("mem_high", "6G", "default"), ("jobs_dir", "/a/folder/of/some/length", "x"), ("[jobs.fit]", "", "")]
    assert table(rows, 44) == [
        "KEY         VALUE                    FROM",
        "mem_high    6G                       default",
        "jobs_dir    …/folder/of/some/length  x",
        "[jobs.fit]",
    ]
    assert table(rows, 50)[2] == "jobs_dir    /a/folder/of/some/length  x"


@pytest.mark.parametrize(
    ("text", "size", "front", "shown"),
    [
        ("abc", 5, False, "abc  "),
        ("abcdef", 5, False, "abcd…"),
        ("abcdef", 5, True, "…cdef"),
        ("銀河系", 6, False, "銀河系"),
        ("銀河系", 5, False, "銀河…"),
        ("銀河系", 4, False, "銀… "),
        ("銀河系", 4, True, "…系 "),
        ("e\u0301e", 2, False, "e\u0301e"),
        ("", 2, False, "  "),
    ],
)
def test_columns(text: str, size: int, front: bool, shown: str) -> None:
    """A Japanese character takes two columns, a combining one none; what is cut is cut to the column."""
    assert cut(text, size, front=front) == shown
    assert columns(shown) == size
