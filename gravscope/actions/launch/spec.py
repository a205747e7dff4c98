"""From what was typed to a spec: every mistake is found here, before anything exists."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gravscope.actions.look.owner import refuse_variables
from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.base.names import check_name, fit_name
from gravscope.base.quantity import INFINITY, parse_duration
from gravscope.base.redact_hint import may_hold_secret
from gravscope.records.spec import JobSpec, Limits, Notify
from gravscope.settings.known import check_memory, parse_timeout
from gravscope.settings.layers import Found, resolve, variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gravscope.records.types import LauncherChoice, OomPolicy
    from gravscope.settings.project import Project

_SCRIPTS = {".py", ".sh", ".pl", ".rb", ".R", ".jl", ".js"}
# bytes of one word, or of NAME=VALUE: MAX_ARG_STRLEN of the kernel, without the NUL at the end (execve(2))
LONGEST_WORD = 32 * os.sysconf("SC_PAGE_SIZE") - 1
# words that say nothing about a job: its name is taken from the script that follows
_INTERPRETERS = re.compile(r"(python|pypy|bash|sh|dash|zsh|perl|ruby|node|julia|Rscript|env|nice|time)[0-9.]*")


class TypedLimits(Immutable):
    """The limits of `gravscope run` and `gravscope limit` as they were typed."""

    mem_high: str | None = None
    mem_max: str | None = None
    swap_max: str | None = None
    cpu_quota: str | None = None
    cpu_weight: int | None = None
    io_weight: int | None = None
    tasks_max: str | None = None


class Changes(Immutable):
    """The options that `gravscope run` and `gravscope rerun` share, as they were typed. None is for what was not, and
    may be set elsewhere."""

    name: str | None = None
    limits: TypedLimits = TypedLimits()
    env: Sequence[str] = ()
    env_file: str | None = None
    cwd: str | None = None
    launcher: LauncherChoice | None = None
    timeout: str | None = None
    grace: str | None = None
    oom_policy: OomPolicy | None = None
    memsafe: bool | None = None
    unique: bool = False
    notify: bool = False
    foreground: bool = False


class Typed(Changes):
    """The same with the command of `gravscope run`."""

    command: Sequence[str] = ()
    shell: bool = False


def make_spec(typed: Typed, project: Project | None = None, found: Mapping[str, Found] | None = None) -> JobSpec:
    """The spec for what was typed, and for the rest what is set for a job of that name: in `project`, or in `found`.

    Raises UsageError for the first thing that is wrong with either.
    """
    if not typed.command or not typed.command[0]:
        raise UsageError("no command to run", "type: gravscope run -n NAME -- COMMAND…")
    if any("\0" in word for word in typed.command):
        raise UsageError("a word of the command holds a NUL byte")
    for word in typed.command:
        _refuse_too_long(word, "a word of the command")
    cwd = _directory(typed.cwd)
    name = check_name(typed.name) if typed.name is not None else default_name(typed.command, shell=typed.shell)
    if found is None:
        found = project.settings_for(name) if project is not None else resolve(())
    refuse_variables(found)
    typed = _with_settings(typed, found)
    timeout = parse_timeout(typed.timeout, "--timeout") if typed.timeout else None
    grace = parse_duration(typed.grace or "10s", "--grace")
    return JobSpec(
        cmd=list(typed.command),
        name=name,
        cwd=cwd,
        shell=typed.shell,
        env=_environment(typed, variables(found, "env")),
        limits=_with_swap_default(make_limits(typed.limits)),
        launcher=typed.launcher or "auto",
        timeout=timeout,
        # a job that is never killed could never be cancelled
        grace=grace if grace is not None else 86400.0,
        oom_policy=typed.oom_policy or "kill",
        memsafe=typed.memsafe is not False,
        unique=typed.unique,
        foreground=typed.foreground,
        memsafe_env=variables(found, "memsafe_env"),
        notify=_whom_to_tell(found) if typed.notify else None,
    )


def _whom_to_tell(found: Mapping[str, Found]) -> Notify:
    from gravscope.notify.notify import recipients  # noqa: PLC0415 (for few jobs)

    return recipients(found)


def _with_settings(typed: Typed, found: Mapping[str, Found]) -> Typed:
    """`typed` with what is set where nothing was typed. (The values have been checked, each by its setting's kind.)"""
    others: dict[str, Any] = {
        name: found[name].value for name, value in typed.as_dict().items() if value in (None, "") and name in found
    }
    limits: dict[str, Any] = {}
    for name, given in typed.limits.as_dict().items():
        value = found[name].value if given is None and name in found else given
        # no quota at all is said so that one which is set elsewhere can be taken back
        limits[name] = None if name == "cpu_quota" and value == INFINITY else value
    return typed.replaced(limits=type(typed.limits)(**limits), **others)


def _directory(typed: str | None) -> str:
    try:
        found = str(Path(typed or ".").absolute())
    except FileNotFoundError:
        raise UsageError("the working directory is gone", "type: cd, or give --cwd an absolute path") from None
    if not os.path.isdir(found):  # noqa: PTH112 (Path.is_dir raises for a name that is too long, or out of reach)
        raise UsageError(f"--cwd: {typed}: no such directory")
    return found


def default_name(command: Sequence[str], *, shell: bool = False) -> str:
    """What a job without a name is called: its program, or the script that an interpreter runs."""
    # a name is shown everywhere: nothing that looks like a secret becomes one
    words = command[0].split() if shell else command
    if may_hold_secret(" ".join(command)):
        from gravscope.base.redact import redact_command, redact_text  # noqa: PLC0415 (3 ms)

        words = redact_text(command[0]).split() if shell else redact_command(command)
    candidates = [word for word in words if word and not word.startswith("-") and not {"=", "*"} & {*word}]
    for word in candidates:
        path = Path(word)
        stem = path.stem if path.suffix in _SCRIPTS else path.name
        if _INTERPRETERS.fullmatch(stem) and any(Path(other).suffix in _SCRIPTS for other in candidates):
            continue
        return fit_name(stem)
    return "job"


def _with_swap_default(limits: Limits) -> Limits:
    """No swap for a job that has a hard limit alone: it is to end there, not to drag the machine through its swap.

    With MemoryHigh swap stays as it is, for a job that is slowed down there without any would stand still for ever.
    """
    if limits.mem_max is None or limits.mem_high is not None or limits.swap_max is not None:
        return limits
    return limits.replaced(swap_max=0)


def make_limits(typed: TypedLimits) -> Limits:
    """The limits for what was typed. Raises UsageError for the first thing that is wrong with them."""
    try:
        limits = Limits(**typed.as_dict())
    except UsageError as error:
        raise UsageError(_as_option(error.message), error.hint, error.instead) from None
    check_memory(limits.mem_high, "--mem-high")
    check_memory(limits.mem_max, "--mem-max")
    return limits


def _as_option(message: str) -> str:
    """`message` with the name that it begins with as the command line writes it: --mem-high for mem_high."""
    name, colon, rest = message.partition(":")
    return f"--{name.replace('_', '-')}{colon}{rest}"


def _environment(typed: Typed, settings: Mapping[str, str]) -> dict[str, str]:
    given = {**settings, **(_typed_variables(typed) if typed.env or typed.env_file else {})}
    for name, value in given.items():
        if "\0" in value:
            raise UsageError(f"the value of {name} holds a NUL byte")
        _refuse_too_long(f"{name}={value}", f"the variable {name}")
    return given


def _typed_variables(typed: Typed) -> dict[str, str]:
    from gravscope.settings.env_file import VARIABLE, read_env_file, redacted_pair  # noqa: PLC0415 (for few jobs)

    given = read_env_file(Path(typed.env_file)) if typed.env_file else {}
    for pair in typed.env:
        name, equals, value = pair.partition("=")
        if not equals or not VARIABLE.fullmatch(name):
            raise UsageError(f"-e: {redacted_pair(pair)} is not NAME=VALUE")
        given[name] = value
    return given


def _refuse_too_long(text: str, what: str) -> None:
    """The kernel's own words would be "Argument list too long", which does not tell where to look."""
    size = len(os.fsencode(text))
    if size > LONGEST_WORD:
        raise UsageError(f"{what} has {size} bytes, and the kernel takes {LONGEST_WORD}", "hand it over in a file")
