"""Which place wins if several set a value, and the messages about wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.base.errors import UsageError
from gravscope.settings.known import MEMSAFE_ENV, SETTINGS
from gravscope.settings.layers import Layer, environment, folders, job_tables, resolve, variables

USERS, SHARED, OWN = Path("/home/config.toml"), Path("/project/pyproject.toml"), Path("/project/gravscope.toml")
KEYS = {"mem_high": ["1G", "2G", "3G"], "timeout": ["1h", "2h"], "launcher": ["auto", "session"], "grace": ["1s"]}
VALUES = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in KEYS.items()})
ENV = st.dictionaries(st.sampled_from("ABC"), st.sampled_from(["", "x", "y"]))
TABLE = st.builds(lambda values, env: {**values, "env": env} if env else values, VALUES, ENV)
# Those that match the job `fit`, its own name, and those that do not match.
PATTERNS = ["f*", "?it", "*"]
OTHERS = ["other", "g*", "fi", "FIT"]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, object]:
    """A file with settings for all jobs, and tables for some names and patterns in any order."""
    names = draw(st.lists(st.sampled_from([*PATTERNS, *OTHERS, "fit"]), unique=True))
    return {**draw(TABLE), "jobs": {name: draw(TABLE) for name in names}}


def flat(table: dict[str, object]) -> dict[str, object]:
    """The settings of a table, each variable as a setting of its own."""
    env = table.get("env", {})
    assert isinstance(env, dict)
    values = {key: value for key, value in table.items() if key not in ("env", "jobs")}
    return {**values, **{f"env.{name}": value for name, value in env.items()}}


@pytest.mark.slow
@given(tables(), tables(), tables(), VALUES)
def test_the_order_of_strength(
    users: dict[str, object], shared: dict[str, object], own: dict[str, object], given_by_variables: dict[str, str]
) -> None:
    """The defaults; then the settings for all jobs in pyproject.toml, gravscope.toml and the user's file; then, in each
    of them, the matching patterns in the order of the file; then the job's name; then the environment. Each overrides
    only what it sets; variables of a table are overridden one by one."""
    shell = environment({f"GRAVSCOPE_{key.upper()}": value for key, value in given_by_variables.items()})
    layers = [Layer(shared, SHARED, ("tool", "gravscope")), Layer(own, OWN), Layer(users, USERS), shell]
    expected: dict[str, object] = {"grace": "10s", "launcher": "auto"}
    for table in (shared, own, users):
        expected |= flat(table)
    for wanted in (PATTERNS, ["fit"]):
        for table in (shared, own, users):
            jobs = table["jobs"]
            assert isinstance(jobs, dict)
            for name in jobs:
                expected |= flat(jobs[name]) if name in wanted else {}
    expected |= given_by_variables
    found = {key: each.value for key, each in resolve(layers, "fit").items() if key.partition(".")[0] in (*KEYS, "env")}
    assert found == expected


def test_what_is_said_of_a_name_wins_among_files() -> None:
    """A name is stronger than a pattern, and that than the settings for all jobs, in any file; for equals the stronger
    file wins; the environment is stronger than all of them."""
    weak = {"mem_high": "1G", "jobs": {"fit": {"mem_high": "2G"}, "f*": {"mem_max": "2G", "grace": "2s"}}}
    strong = {"mem_high": "3G", "mem_max": "3G", "grace": "3s", "timeout": "3h", "jobs": {"*": {"grace": "4s"}}}
    layers = [Layer(weak, SHARED), Layer(strong, USERS)]
    found = {key: each.value for key, each in resolve(layers, "fit").items() if key in (*KEYS, "mem_max")}
    assert found == {"mem_high": "2G", "mem_max": "2G", "timeout": "3h", "grace": "4s", "launcher": "auto"}
    assert resolve(layers, "fit")["mem_high"].source.file == SHARED
    assert resolve(layers, "fit")["grace"].source.file == USERS
    assert resolve(layers, "other")["mem_high"].value == resolve(layers)["mem_high"].value == "3G"
    by_name = Layer({"jobs": {"fit": {"mem_high": "5G"}}}, USERS)
    assert resolve([*layers, by_name], "fit")["mem_high"].value == "5G"
    assert resolve([*layers, environment({"GRAVSCOPE_MEM_HIGH": "6G"})], "fit")["mem_high"].value == "6G"


def test_where_a_value_stands() -> None:
    """A file and a table, a variable, or nothing for a default."""
    layers = [
        Layer({"mem_high": "1G", "env": {"A": "x"}}, USERS),
        Layer({"jobs": {"f*": {"mem_max": "2G", "env": {"B": "y"}}}}, SHARED, ("tool", "gravscope")),
        environment({"GRAVSCOPE_GRACE": "1s"}),
    ]
    sources = {key: each.source for key, each in resolve(layers, "fit").items()}
    assert (sources["mem_high"].file, sources["mem_high"].table) == (USERS, "")
    assert (sources["env.A"].file, sources["env.A"].table) == (USERS, "env")
    assert (sources["mem_max"].file, sources["mem_max"].table) == (SHARED, 'tool.gravscope.jobs."f*"')
    assert sources["env.B"].table == 'tool.gravscope.jobs."f*".env'
    assert (sources["grace"].file, sources["grace"].variable) == (None, "GRAVSCOPE_GRACE")
    assert (sources["launcher"].file, sources["launcher"].variable) == (None, None)


def test_settings_come_in_their_own_order() -> None:
    """They are shown in the order of SETTINGS, whatever the order in a file."""
    found = resolve([Layer({"env": {"Z": "1", "A": "2"}, "launcher": "auto", "mem_high": "1G"}, OWN)])
    order = list(SETTINGS)
    assert [order.index(key.partition(".")[0]) for key in found] == sorted(
        order.index(key.partition(".")[0]) for key in found
    )
    assert [key for key in found if key.startswith("env.")] == ["env.Z", "env.A"]


def test_without_a_job_its_tables_do_not_count() -> None:
    """Not even a pattern that matches every name counts."""
    layer = Layer({"jobs": {"*": {"mem_high": "1G"}, "fit": {"mem_high": "2G"}}}, OWN)
    assert "mem_high" not in resolve([layer])
    assert resolve([layer], "else")["mem_high"].value == "1G"


def test_a_name_is_no_pattern() -> None:
    """A name without *, ? or [ matches only itself; with them it is a shell pattern, and case matters."""
    layer = Layer({"jobs": {"a.c": {"mem_high": "1G"}, "[!x]z": {"mem_high": "2G"}}}, OWN)
    found = {name: resolve([layer], name).get("mem_high") for name in ("a.c", "abc", "A.C", "yz", "xz")}
    assert {name for name, each in found.items() if each is not None} == {"a.c", "yz"}


def test_one_variable_of_a_table_is_changed_alone() -> None:
    """The other variables of memsafe_env keep their values."""
    found = resolve([Layer({"memsafe_env": {"OMP_NUM_THREADS": "4", "NEW": 1}}, OWN)])
    assert variables(found, "memsafe_env") == {**MEMSAFE_ENV, "OMP_NUM_THREADS": "4", "NEW": "1"}
    assert variables(found, "env") == {}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"mem_hihg": "6G"}, "unknown setting mem_hihg; did you mean mem_high?"),
        ({"mem-high": "6G"}, "unknown setting mem-high; did you mean mem_high?"),
        ({"memory_max": "6G"}, "unknown setting memory_max; did you mean mem_max?"),
        ({"memory-limit": "6G"}, "unknown setting memory-limit; did you mean mem_max?"),
        ({"MemoryHigh": "6G"}, "unknown setting MemoryHigh; did you mean mem_high?"),
        ({"walltime": "1h"}, "unknown setting walltime; did you mean timeout?"),
        ({"jobs": {"fit": {"cpus": 2}}}, "unknown setting jobs.fit.cpus; did you mean cpu_quota?"),
        ({"job": {"fit": {}}}, "unknown setting job; did you mean jobs?"),
        ({"x": 1}, f"unknown setting x; known are {', '.join(sorted([*SETTINGS, 'jobs']))}"),
        ({"jobs": {"fit": {"mem_hihg": "6G"}}}, "unknown setting jobs.fit.mem_hihg; did you mean mem_high?"),
        ({"jobs": {"f*": {"jobs": {}}}}, 'unknown setting jobs."f*".jobs; known are cpu_quota'),
        ({"jobs": {"fit": {"log_dir": "x"}}}, "jobs.fit.log_dir: jobs cannot differ in this; set it above all tables"),
        ({"jobs": 3}, "jobs must be a table, not an integer; write [jobs.NAME]"),
        ({"jobs": [{"fit": {}}]}, "jobs must be a table, not an array; write [jobs.NAME]"),
        ({"jobs": {"mem_high": "6G"}}, "jobs.mem_high must be a table, not a string"),
        ({"jobs": {"a b": {}}}, 'jobs."a b": no job can have this name'),
        ({"jobs": {"-x": {}}}, "jobs.-x: no job can have this name"),
        ({"jobs": {"": {}}}, 'jobs."": no job can have this name'),
    ],
)
def test_what_is_not_known_is_named(values: dict[str, object], complaint: str) -> None:
    """The message has the most similar known name, or all of them; also in the table of another job."""
    with pytest.raises(UsageError) as refused:
        resolve([Layer(values, OWN)], "some-job")
    assert str(refused.value).startswith(f"{OWN}: {complaint}")


def test_the_folders_alone() -> None:
    """They are found even if values and job tables are wrong, but not if an unknown name may have meant a folder."""
    wrong = {"mem_high": "lots", "jobs": {"fit": 3}}
    found = folders([Layer({"jobs_dir": "a", "log_dir": "b", **wrong}, OWN), environment({"GRAVSCOPE_LOG_DIR": "c"})])
    assert {key: each.value for key, each in found.items()} == {"jobs_dir": "a", "log_dir": "c"}
    with pytest.raises(UsageError, match="unknown setting job_dir; did you mean jobs_dir"):
        folders([Layer({"job_dir": "a"}, OWN)])


def test_tables_of_jobs_in_the_order_of_strength() -> None:
    """The patterns in the order of the file, and then the names, wherever they are."""
    layer = Layer({"jobs": {"fit": {}, "b*": {}, "a*": {}, "go": {}}}, OWN)
    assert list(job_tables(layer)) == ["b*", "a*", "fit", "go"]
