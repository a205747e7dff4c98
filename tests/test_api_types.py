"""Jobs from Python with arguments of a wrong type: one error that says what to write, and nothing is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gravscope import Job, Limits, NoSuchJobError, UsageError, jobs, submit
from gravscope.api import JobOptions
from gravscope.base.arguments import KINDS
from tests.support import Gravscope
from tests.test_api import here

__all__ = ["here"]  # for every test, as there

# checked against their words, or by a class of ours
OTHERS = {"LauncherChoice", "OomPolicy", "Limits"}
AMONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"name": 3}, 'name: 3 is not a string; write it as "fit"'),
    ({"limits": "1G"}, "limits: '1G' is not Limits; write it as Limits(mem_max=\"6G\")"),
    ({"limits": {"mem_max": "1G"}}, 'limits: a dict is not Limits; write it as Limits(mem_max="6G")'),
    ({"env": ["A=1"]}, 'env: a list is not a dict; write it as {"NAME": "value"}'),
    ({"env": "A=1"}, 'env: \'A=1\' is not a dict; write it as {"NAME": "value"}'),
    ({"env": {"A": 1}}, 'env: the value of \'A\' is 1, and not a string; write it as {"A": "1"}'),
    ({"env": {1: "a"}}, 'env: 1 is no name of a variable; write it as {"NAME": "value"}'),
    ({"env": {"A": b"secret"}}, "env: the value of 'A' is a bytes, and not a string"),
    ({"env_file": 3}, 'env_file: 3 is not a path; write it as "data" or Path("data")'),
    ({"cwd": b"/"}, 'cwd: a bytes is not a path; write it as "data" or Path("data")'),
    ({"launcher": 3}, "launcher: 3 is none of auto, scope, session"),
    ({"oom_policy": ["kill"]}, "oom_policy: a list is none of kill, continue"),
    ({"timeout": True}, 'timeout: True is not a duration; give seconds, or a string such as "90m"'),
    ({"grace": [1]}, 'grace: a list is not a duration; give seconds, or a string such as "90m"'),
    ({"memsafe": "no"}, "memsafe: 'no' is not True or False; write one of them"),
    ({"unique": 1}, "unique: 1 is not True or False; write one of them"),
    ({"notify": "x" * 50}, f"notify: '{'x' * 39}… is not True or False; write one of them"),
]
A_COMMAND = 'give a list of words, such as ["python", "fit.py"]'
AS_COMMANDS: list[tuple[object, str]] = [
    (None, f"command: None is not a list of words; {A_COMMAND}"),
    (3, f"command: 3 is not a list of words; {A_COMMAND}"),
    (b"true", f"command: a bytes is not a list of words; {A_COMMAND}"),
    (Path("true"), f"command: a PosixPath is not a list of words; {A_COMMAND}"),
    ({"true": 1}, f"command: a dict is not a list of words; {A_COMMAND}"),
    (["sleep", 5], 'command: 5 is not a word; write it as "5"'),
    (["true", None], "command: None is not a word; each word is a string or a path"),
    ([b"true"], "command: a bytes is not a word; each word is a string or a path"),
]


def said_by(call: Callable[[], object]) -> str:
    """What a UsageError says."""
    with pytest.raises(UsageError) as raised:
        call()
    return str(raised.value)


@pytest.mark.parametrize(("wrong", "said"), AMONG_OPTIONS, ids=[f"{row[0]}"[:40] for row in AMONG_OPTIONS])
def test_an_option_of_a_wrong_type(here: Gravscope, wrong: dict[str, Any], said: str) -> None:
    """`submit` says what it is, and what to write. Of what may be long or secret only the type is said."""
    assert said_by(lambda: submit(["true"], **wrong)) == said
    assert here.records() == []


@pytest.mark.parametrize(("command", "said"), AS_COMMANDS, ids=[f"{row[0]}" for row in AS_COMMANDS])
def test_a_command_of_a_wrong_type(here: Gravscope, command: Any, said: str) -> None:  # noqa: ANN401 (that is the point)
    """Likewise for the command, and each of its words."""
    assert said_by(lambda: submit(command)) == said
    assert here.records() == []


def test_every_option_is_checked() -> None:
    """An option whose annotation nothing checks would give Python's own words."""
    kinds = {
        getattr(kind, "__forward_arg__", kind).removesuffix(" | None") for kind in JobOptions.__annotations__.values()
    }
    assert kinds <= KINDS.keys() | OTHERS


def test_none_is_for_what_is_not_given() -> None:
    """Each option may be None."""
    assert submit(["true"], **dict.fromkeys(JobOptions.__annotations__, None)).wait() == 0  # type: ignore[arg-type]


def test_jobs_and_their_methods(here: Gravscope) -> None:
    """Names, numbers of lines, durations, limits and switches."""
    wrong: Any
    for wrong in (3, None, b"fit"):
        assert said_by(lambda given=wrong: Job(given)).startswith("job: ")
    assert said_by(lambda: jobs(3)).startswith("name: 3 is not a string")  # type: ignore[arg-type]
    assert said_by(lambda: jobs(live="no")).startswith("live: 'no' is not True or False")  # type: ignore[arg-type]
    job = submit(["echo", "a"], name="fit")
    job.wait()
    for wrong in ("a", -1, 1.5, True):
        assert said_by(lambda given=wrong: job.log(given)) == (
            f"lines: {wrong!r} is not a number of lines; give an integer such as 20"
        )
    for wrong in ([1], True, "soon", -1):
        assert said_by(lambda given=wrong: job.wait(given)).startswith("timeout: ")
        assert said_by(lambda given=wrong: job.cancel(given)).startswith("grace: ")
    assert said_by(lambda: job.limit("8G")).startswith("limits: '8G' is not Limits")  # type: ignore[arg-type]
    assert said_by(lambda: job.limit(None)).startswith("limits: there is none to change")  # type: ignore[arg-type]
    assert said_by(lambda: job.limit(Limits(mem_max="1G"), force="no")).startswith("force: ")  # type: ignore[arg-type]
    assert said_by(lambda: job.rerun(name=3)).startswith("name: 3 is not a string")  # type: ignore[arg-type]
    assert said_by(lambda: submit("true", shell="no")).startswith("shell: ")  # type: ignore[arg-type] # noqa: S604
    assert Job(here.jobs_dir / f"{job.id}.json") == job
    with pytest.raises(NoSuchJobError):
        Job("")
