"""From what was typed to a spec: every mistake is found before anything exists, and is one UsageError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.actions.launch.spec import LONGEST_WORD, Typed, TypedLimits, default_name, make_limits, make_spec
from gravscope.base.errors import UsageError
from gravscope.base.names import check_name
from gravscope.records.spec import JobSpec, Limits
from gravscope.settings.known import LEAST_MEMORY

GIB = 2**30
LIMITS = set(TypedLimits().as_dict())


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 GiB."""
    monkeypatch.setattr("gravscope.records.spec.total_memory", lambda: 16 * GIB)


def spec(*command: str, **typed: Any) -> JobSpec:  # noqa: ANN401 (any option)
    """The spec of `command` with options as they are typed."""
    return make_typed(command=command or ("true",), **typed)


def make_typed(**typed: Any) -> JobSpec:  # noqa: ANN401
    """The spec of options by their names, those of limits put where they belong."""
    limits = {name: typed.pop(name) for name in LIMITS & typed.keys()}
    return make_spec(Typed(**{"command": ["true"], **typed}, limits=TypedLimits(**limits)))


def test_the_least_that_can_be_typed() -> None:
    """A command alone: no limits, no variables, ten seconds of grace, the folder one stands in."""
    assert spec("python", "fit.py") == JobSpec(cmd=["python", "fit.py"], name="fit", cwd=str(Path.cwd()), grace=10.0)


def test_everything_that_can_be_typed(tmp_path: Path) -> None:
    """Each option ends up in its field, sizes in bytes, durations in seconds, percent of the machine's memory."""
    (tmp_path / "env").write_text("A=file\nB=file\n")
    found = spec(  # noqa: S604 (an option of that name)
        "a b | c",
        name="fit-2",
        shell=True,
        cwd=str(tmp_path),
        env=["B=typed", "EMPTY=", "X=a=b"],
        env_file=str(tmp_path / "env"),
        mem_high="50%",
        mem_max="12G",
        swap_max="0",
        cpu_quota="150%",
        tasks_max="512",
        cpu_weight=50,
        io_weight=20,
        launcher="session",
        timeout="1h30m",
        grace="2.5s",
        oom_policy="continue",
        memsafe=False,
        unique=True,
    )
    limits = Limits(
        mem_high=8 * GIB, mem_max=12 * GIB, swap_max=0, cpu_quota=150.0, tasks_max=512, cpu_weight=50, io_weight=20
    )
    variables = {"A": "file", "B": "typed", "EMPTY": "", "X": "a=b"}
    assert found == JobSpec(
        ["a b | c"], "fit-2", str(tmp_path), True, variables, limits, "session", 5400.0, 2.5, "continue", False, True
    )


def test_no_limit_and_no_end() -> None:
    """infinity is a limit of none, a timeout of none, and a grace period that still ends (else no cancel would)."""
    found = spec("x", mem_max="infinity", tasks_max="infinity", timeout="infinity", grace="infinity")
    assert (found.limits.mem_max, found.limits.tasks_max) == ("infinity", "infinity")
    assert (found.timeout, found.grace) == (None, 86400.0)


@pytest.mark.parametrize(
    "words", [["a b", "$HOME", "${X}", "$$", "%n", "it's", "", "\n", "-x"], ["\udcff\udc80"], ["x", "重い"]]
)
def test_words_are_left_as_they_are(words: list[str]) -> None:
    """Trap 10: variables, percent signs, quotes, empty words and bytes that are no text reach the command untouched."""
    assert spec("x", *words).cmd == ["x", *words]


def test_a_relative_folder_is_of_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--cwd is kept absolute: the job runs elsewhere."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert spec("x", cwd="sub").cwd == str(tmp_path / "sub")


MISTAKES = [
    ({"command": []}, "no command to run; type: gravscope run -n NAME -- COMMAND…"),
    ({"command": [""]}, "no command to run; type: gravscope run -n NAME -- COMMAND…"),
    ({"command": ["a", "b\0c"]}, "a word of the command holds a NUL byte"),
    ({"cwd": "/no/such/folder"}, "--cwd: /no/such/folder: no such directory"),
    ({"cwd": "/etc/passwd"}, "--cwd: /etc/passwd: no such directory"),
    ({"cwd": "a\0b"}, "--cwd: a\0b: no such directory"),
    ({"cwd": "x" * 5000}, f"--cwd: {'x' * 5000}: no such directory"),
    ({"name": ""}, "name: '' cannot be a job's name; "),
    ({"name": "a b"}, "name: 'a b' cannot be a job's name: ' ' is no letter; "),
    ({"name": "-x"}, "name: '-x' cannot be a job's name: it begins with '-'; "),
    ({"name": "../x"}, "name: '../x' cannot be a job's name: '/' is no letter; "),
    ({"name": "x" * 101}, "cannot be a job's name: it has 101 characters, 101 bytes; "),
    ({"mem_high": "lots"}, "--mem-high: 'lots' is not a size; "),
    ({"mem_max": ""}, "--mem-max: '' is not a size; "),
    ({"mem_max": "-1"}, "--mem-max: '-1' is not a size; "),
    ({"mem_max": "16E"}, "--mem-max: '16E' is more than any machine has; "),
    ({"mem_max": "1023K"}, "--mem-max: 1047552 bytes is too little for any program; give at least "),
    ({"mem_high": "0"}, "--mem-high: 0 bytes is too little for any program; give at least "),
    ({"swap_max": "x"}, "--swap-max: 'x' is not a size; "),
    ({"cpu_quota": "150"}, "--cpu-quota: '150' is not a percentage; "),
    ({"cpu_quota": "0%"}, "--cpu-quota: '0%' is not a percentage; "),
    ({"tasks_max": ""}, "--tasks-max: '' is not a number of tasks; give at least 2, or infinity"),
    ({"tasks_max": "1"}, "--tasks-max: '1' is not a number of tasks; give at least 2, or infinity"),
    ({"tasks_max": "-5"}, "--tasks-max: '-5' is not a number of tasks; "),
    ({"tasks_max": "²"}, "--tasks-max: '²' is not a number of tasks; "),
    ({"tasks_max": "9" * 5000}, "is not a number of tasks; "),
    ({"timeout": "soon"}, "--timeout: 'soon' is not a duration; "),
    ({"timeout": "0"}, "--timeout: 0 leaves no time to run; write infinity, or leave it away, for none"),
    ({"grace": "-1s"}, "--grace: '-1s' is not a duration; "),
    ({"env": ["A"]}, "-e: 'A' is not NAME=VALUE"),
    ({"env": ["=x"]}, "-e: '=***' is not NAME=VALUE"),
    ({"env": ["A B=x"]}, "-e: 'A B=***' is not NAME=VALUE"),
    ({"env": ["1A=x"]}, "-e: '1A=***' is not NAME=VALUE"),
    ({"env": ["Ä=x"]}, "-e: 'Ä=***' is not NAME=VALUE"),
    ({"env": ["A\n=x"]}, "is not NAME=VALUE"),
    ({"env": ["A=x\0y"]}, "the value of A holds a NUL byte"),
    ({"env": [f"A={'x' * LONGEST_WORD}"]}, f"the variable A has {LONGEST_WORD + 2} bytes, and the kernel takes "),
    ({"command": ["x", "é" * LONGEST_WORD]}, f"a word of the command has {2 * LONGEST_WORD} bytes, and the kernel "),
    ({"timeout": "1000000000001"}, "--timeout: '1000000000001' is longer than any machine lasts; "),
    ({"cpu_quota": "0.001%"}, "--cpu-quota: '0.001%' is out of range; from 0.01% to 21000000%"),
    ({"env_file": "/no/such/file"}, "--env-file: /no/such/file: No such file or directory"),
    ({"env_file": "/etc"}, "--env-file: /etc: Is a directory"),
    ({"env_file": "a\0b"}, "--env-file: a\0b: embedded null byte"),
]


@pytest.mark.parametrize(("typed", "complaint"), MISTAKES)
def test_each_mistake_is_one_usage_error(typed: dict[str, Any], complaint: str) -> None:
    """It names the option, shows what was typed, and mostly says what to type instead."""
    with pytest.raises(UsageError) as refused:
        make_typed(**typed)
    assert complaint in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_least_memory_is_enough_to_ask_for() -> None:
    """Trap 15: just below the floor is refused, the floor itself is not; swap has none."""
    assert spec("x", mem_max=str(LEAST_MEMORY), swap_max="1K").limits == Limits(mem_max=LEAST_MEMORY, swap_max=1024)
    with pytest.raises(UsageError, match="too little"):
        spec("x", mem_max=str(LEAST_MEMORY - 1))


@pytest.mark.parametrize(
    ("typed", "swap"),
    [
        ({"mem_max": "1G"}, 0),
        ({"mem_max": "1G", "swap_max": "2G"}, 2 * GIB),
        ({"mem_max": "1G", "swap_max": "infinity"}, "infinity"),
        ({"mem_max": "1G", "mem_high": "900M"}, None),
        ({"mem_high": "900M"}, None),
        ({}, None),
    ],
)
def test_a_hard_limit_alone_leaves_no_swap(typed: dict[str, str], swap: object) -> None:
    """Trap 16: the job is to end at its limit and not to swap; but never without a word where one was given."""
    assert spec("x", **typed).limits.swap_max == swap
    # a change of a live job's limits changes what was typed and nothing else
    assert make_limits(TypedLimits(**typed)).swap_max == (swap if "swap_max" in typed else None)


@given(st.text(max_size=20), st.sampled_from(["mem_high", "mem_max", "swap_max", "cpu_quota", "tasks_max", "timeout"]))
@example("9" * 5000, "tasks_max")
def test_whatever_is_typed_gives_a_spec_or_a_usage_error(text: str, option: str) -> None:
    """No option's text ends in a traceback."""
    try:
        spec("x", **{option: text})
    except UsageError as error:
        assert option.replace("_", "-") in error.message


# names


@pytest.mark.parametrize(
    ("command", "shell", "name"),
    [
        (["sleep", "5"], False, "sleep"),
        (["/usr/bin/sleep", "5"], False, "sleep"),
        (["python", "fit.py"], False, "fit"),
        (["python3.11", "-u", "scripts/ab_comp/run_rep6_ws.py", "--full"], False, "run_rep6_ws"),
        (["env", "A=1", "nice", "-n", "bash", "./go.sh"], False, "go"),
        (["python", "-m", "http.server"], False, "python"),
        (["bash", "-c", "echo hello"], False, "bash"),
        (["OMP_NUM_THREADS=1", "./solve"], False, "solve"),
        (["./fit.tar.gz"], False, "fit.tar.gz"),
        (["./重い計算.py"], False, "重い計算"),
        (["./fit 重い.py"], False, "fit_重い"),
        (["..."], False, "job"),
        (["--version"], False, "job"),
        (["python fit.py | tee x"], True, "fit"),
        (["  make -j2 all"], True, "make"),
        (["x" * 300], False, "x" * 60),
        (["/"], False, "job"),
        (["-"], False, "job"),
    ],
)
def test_a_job_without_a_name_is_called_by_its_program(command: list[str], shell: bool, name: str) -> None:
    """Its program, or the script that an interpreter runs, without folder and suffix."""
    assert default_name(command, shell=shell) == name


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5), st.booleans())
@example(["_" * 70], False)
@example(["." * 300 + "x"], True)
def test_any_command_gives_a_name_that_may_be_one(command: list[str], shell: bool) -> None:
    """Trap 9: whatever the command, its default name is fit for a file and a unit, and short."""
    name = default_name(command, shell=shell)
    assert check_name(name) == name
    assert len(name) <= 60
