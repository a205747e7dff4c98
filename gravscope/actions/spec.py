"""From what was typed to a spec: every mistake is found here, before anything exists."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gravscope import host
from gravscope.errors import UsageError
from gravscope.model import JobSpec, LauncherChoice, Limits, OomPolicy
from gravscope.quantity import Size, parse_duration, parse_percent, parse_size
from gravscope.store import check_name

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+", re.ASCII)
_SCRIPTS = {".py", ".sh", ".pl", ".rb", ".R", ".jl", ".js"}
# words that say nothing about a job: its name is taken from the script that follows
_INTERPRETERS = re.compile(r"(python|pypy|bash|sh|dash|zsh|perl|ruby|node|julia|Rscript|env|nice|time)[0-9.]*")


@dataclass(frozen=True)
class TypedLimits:
    """The limits of `gravscope run` and `gravscope limit` as they were typed."""

    mem_high: str | None = None
    mem_max: str | None = None
    swap_max: str | None = None
    cpu_quota: str | None = None
    cpu_weight: int | None = None
    io_weight: int | None = None
    tasks_max: str | None = None


@dataclass(frozen=True)
class Typed:
    """The options of `gravscope run` as they were typed."""

    command: Sequence[str]
    name: str | None = None
    shell: bool = False
    cwd: str | None = None
    env: Sequence[str] = ()
    env_file: str | None = None
    limits: TypedLimits = TypedLimits()
    launcher: LauncherChoice = "auto"
    timeout: str | None = None
    grace: str | None = None
    oom_policy: OomPolicy = "kill"
    memsafe: bool = True
    unique: bool = False


def make_spec(typed: Typed) -> JobSpec:
    """The spec for what was typed. Raises UsageError for the first thing that is wrong with it."""
    if not typed.command or not typed.command[0]:
        raise UsageError("no command to run", "type: gravscope run -n NAME -- COMMAND…")
    if any("\0" in word for word in typed.command):
        raise UsageError("a word of the command holds a NUL byte")
    cwd = Path(typed.cwd or ".").absolute()
    if not os.path.isdir(cwd):  # noqa: PTH112 (Path.is_dir raises for a name that is too long, or out of reach)
        raise UsageError(f"--cwd: {typed.cwd}: no such directory")
    grace = parse_duration(typed.grace, "--grace") if typed.grace else 10.0
    timeout = parse_duration(typed.timeout, "--timeout") if typed.timeout else None
    if timeout == 0:
        raise UsageError("--timeout: 0 leaves no time to run", "write infinity, or leave it away, for none")
    return JobSpec(
        cmd=list(typed.command),
        name=check_name(typed.name) if typed.name is not None else default_name(typed.command, shell=typed.shell),
        cwd=str(cwd),
        shell=typed.shell,
        env=_environment(typed),
        limits=_with_swap_default(make_limits(typed.limits)),
        launcher=typed.launcher,
        timeout=timeout,
        # a job that is never killed could never be cancelled
        grace=grace if grace is not None else 86400.0,
        oom_policy=typed.oom_policy,
        memsafe=typed.memsafe,
        unique=typed.unique,
    )


def default_name(command: Sequence[str], *, shell: bool = False) -> str:
    """What a job without a name is called: its program, or the script that an interpreter runs."""
    words = command[0].split() if shell else list(command)
    candidates = [word for word in words if word and not word.startswith("-") and "=" not in word]
    for word in candidates:
        path = Path(word)
        stem = path.stem if path.suffix in _SCRIPTS else path.name
        if _INTERPRETERS.fullmatch(stem) and any(Path(other).suffix in _SCRIPTS for other in candidates):
            continue
        return _UNFIT.sub("_", stem).lstrip("_.-")[:60] or "job"
    return "job"


def _with_swap_default(limits: Limits) -> Limits:
    """No swap for a job that has a hard limit alone: it is to end there, not to drag the machine through its swap.

    With MemoryHigh swap stays as it is, for a job that is slowed down there without any would stand still for ever.
    """
    if limits.mem_max is None or limits.mem_high is not None or limits.swap_max is not None:
        return limits
    return msgspec.structs.replace(limits, swap_max=0)


def make_limits(typed: TypedLimits) -> Limits:
    """The limits for what was typed. Raises UsageError for the first thing that is wrong with them."""
    memory = host.total_memory()

    def size(text: str | None, option: str) -> Size | None:
        return None if text is None else parse_size(text, memory, option)

    limits = Limits(
        mem_high=size(typed.mem_high, "--mem-high"),
        mem_max=size(typed.mem_max, "--mem-max"),
        swap_max=size(typed.swap_max, "--swap-max"),
        cpu_quota=None if typed.cpu_quota is None else parse_percent(typed.cpu_quota, "--cpu-quota"),
        tasks_max=_tasks(typed.tasks_max),
        cpu_weight=typed.cpu_weight,
        io_weight=typed.io_weight,
    )
    for option, limit in (("--mem-high", limits.mem_high), ("--mem-max", limits.mem_max)):
        if isinstance(limit, int) and limit < LEAST_MEMORY:
            raise UsageError(
                f"{option}: {limit} bytes is too little for any program", f"give at least {LEAST_MEMORY >> 20}M"
            )
    return limits


# A limit of some kilobytes has been seen to hang the user manager itself, which has to start the scope
# (systemd issue 40208); an empty interpreter needs more than this anyway.
LEAST_MEMORY = 16 * 2**20


def _tasks(text: str | None) -> Size | None:
    if text is None or text == "infinity":
        return "infinity" if text else None
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 2:
        raise UsageError(f"--tasks-max: {text!r} is not a number of tasks", "give at least 2, or infinity")
    return int(text)


def _environment(typed: Typed) -> dict[str, str]:
    given = _read_env_file(Path(typed.env_file)) if typed.env_file else {}
    for pair in typed.env:
        name, equals, value = pair.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise UsageError(f"-e: {pair!r} is not NAME=VALUE")
        given[name] = value
    for name, value in given.items():
        if "\0" in value:
            raise UsageError(f"the value of {name} holds a NUL byte")
    return given


def _read_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines; `export`, quotes as in a shell, blank lines and # comments are understood."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError) as error:
        raise UsageError(f"--env-file: {path}: {getattr(error, 'strerror', error)}") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"--env-file: {path}:{number}: {error}") from None
        for word in words[1:] if words[:1] == ["export"] else words:
            name, equals, value = word.partition("=")
            if not equals or not _VARIABLE.fullmatch(name):
                raise UsageError(f"--env-file: {path}:{number}: {word!r} is not NAME=VALUE")
            found[name] = value
    return found
