"""All settings and their possible values. Which place wins: `gravscope.settings.layers`.

A setting is one line in `SETTINGS`; files, the environment, `gravscope config` and the checks follow from it. What it
does is up to the code that reads it. `docs/configuration.md` describes it, and a test compares the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping

from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.base.printable import quoted
from gravscope.base.quantity import (
    INFINITY,
    Size,
    parse_duration,
    parse_percent,
    parse_size,
    parse_tasks,
    parse_weight,
    total_memory,
)

Value = str | int | bool

# A job that forks one BLAS thread per core and one malloc arena per thread needs many times the memory otherwise.
MEMSAFE_ENV: dict[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_MAX_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
# A limit of some kilobytes has hung the user manager, which has to start the scope (systemd issue 40208). An empty
# interpreter needs more than this anyway.
LEAST_MEMORY = 16 * 2**20

# what people write for a switch
SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Kind(Immutable):
    """The kind of a setting: its types in TOML, their description for messages, and the check of a value.

    `check` gets a value and its name for messages, returns the value to use, and raises UsageError. `from_text`
    converts the text of an environment variable to what TOML would hold.
    """

    types: tuple[type, ...]
    words: str
    check: Callable[..., Value]
    from_text: Callable[[str], object] = str


def check_memory(size: Size | None, label: str) -> None:
    """Raises UsageError for a memory limit that is too small for any program."""
    if isinstance(size, int) and size < LEAST_MEMORY:
        # a number alone, or what was to be its unit has become a word of its own: --mem-max 6 G
        least = f"{LEAST_MEMORY >> 20}M"
        hint, instead = f"give at least {least}", None
        if 0 < size < LEAST_MEMORY >> 20:
            hint, instead = f"did you mean {size}G?", (str(size), f"{size}G")
        elif 0 < size < 1024:
            hint = f"did you mean {size}M or {size}G?"
        raise UsageError(f"{label}: {size} bytes is too little for any program", hint, instead)


def parse_timeout(text: str, label: str) -> float | None:
    """The seconds after which a job is ended; None for no limit. Raises UsageError for anything else."""
    seconds = parse_duration(text, label)
    if seconds == 0:
        raise UsageError(f"{label}: 0 leaves no time to run", "write infinity, or leave it away, for none")
    return seconds


def _text(parse: Callable[[str, str], object]) -> Callable[..., Value]:
    """A check that only tests whether `parse` accepts the text, and returns the text unchanged."""

    def check(given: Value, label: str) -> Value:
        parse(str(given), label)
        return str(given)

    return check


def _quota(text: str, label: str) -> None:
    if text != INFINITY:
        parse_percent(text, label)


def _weight(given: int, label: str) -> int:
    return parse_weight(str(given), label)


def _size(text: str, label: str) -> Size:
    return parse_size(text, total_memory(), label)


def _folder(given: str, label: str) -> str:
    if not given or "\0" in given:
        raise UsageError(f"{label}: {quoted(given)} is no folder's name")
    return given


def _variable(given: str | int, label: str) -> str:
    """Numbers are taken as written: OMP_NUM_THREADS = 2 is meant so."""
    try:
        if b"\0" in os.fsencode(str(given)):
            raise UsageError(f"{label}: a variable cannot hold a NUL byte")
    except UnicodeEncodeError:
        raise UsageError(f"{label}: this locale's encoding does not have such text", "set LC_ALL=C.UTF-8") from None
    return str(given)


def _webhook(given: str, label: str) -> str:
    """The address is a secret and appears in no message."""
    if re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+(?:[/?#][!-~]*)?", given, re.ASCII) is None:
        raise UsageError(f"{label}: is no address of the web", "write it as https://HOST/PATH")
    return given


def _program(given: str, label: str) -> str:
    if not given.strip() or "\0" in given:
        raise UsageError(f"{label}: {quoted(given)} is no command")
    return given


def _choice(*words: str) -> Kind:
    def check(given: str, label: str) -> str:
        if given not in words:
            raise UsageError(f"{label}: {quoted(given)} is not {_either(words)}", nearest(given, words))
        return given

    return Kind((str,), _either(words), check)


def _either(words: Collection[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


def _number(text: str) -> object:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else text


FOLDER = Kind((str,), "a folder's name", _folder)
MEMORY = Kind((str, int), 'a size ("6G")', _text(lambda text, label: check_memory(_size(text, label), label)))
SIZE = Kind((str, int), 'a size ("6G")', _text(_size))
PERCENT = Kind((str,), 'a percentage ("150%")', _text(_quota))
WEIGHT = Kind((int,), "an integer", _weight, _number)
TASKS = Kind((str, int), "a number of tasks", _text(parse_tasks))
DURATION = Kind((str, int, float), 'a duration ("90s")', _text(parse_duration))
TIMEOUT = Kind((str, int, float), 'a duration ("2h")', _text(parse_timeout))
SWITCH = Kind((bool,), "true or false", lambda given, label: bool(given), lambda text: SWITCHES.get(text.lower(), text))
WEBHOOK = Kind((str,), "an address (https://…)", _webhook)
PROGRAM = Kind((str,), "a shell command", _program)
# In a table of these, each variable is a setting of its own, so that a stronger layer can change a single one.
VARIABLES = Kind((str, int), "a string", _variable)


class Setting(Immutable):
    """One setting: its kind, its default, and whether it can be set per job."""

    kind: Kind
    default: Value | Mapping[str, str] | None = None
    per_job: bool = True


# A name with a dot belongs to a table: "notify.desktop" is `desktop` in [notify], and GRAVSCOPE_NOTIFY_DESKTOP.
SETTINGS: dict[str, Setting] = {
    "jobs_dir": Setting(FOLDER, per_job=False),
    "log_dir": Setting(FOLDER, per_job=False),
    "mem_high": Setting(MEMORY),
    "mem_max": Setting(MEMORY),
    "swap_max": Setting(SIZE),
    "cpu_quota": Setting(PERCENT),
    "cpu_weight": Setting(WEIGHT),
    "io_weight": Setting(WEIGHT),
    "tasks_max": Setting(TASKS),
    "timeout": Setting(TIMEOUT),
    "grace": Setting(DURATION, "10s"),
    "oom_policy": Setting(_choice("kill", "continue"), "kill"),
    "launcher": Setting(_choice("auto", "scope", "session"), "auto"),
    "memsafe": Setting(SWITCH, True),
    "memsafe_env": Setting(VARIABLES, MEMSAFE_ENV),
    "env": Setting(VARIABLES, {}),
    "notify.desktop": Setting(SWITCH, per_job=False),
    "notify.webhook": Setting(WEBHOOK, per_job=False),
    "notify.command": Setting(PROGRAM, per_job=False),
}


def variable_of(key: str) -> str | None:
    """The environment variable of a setting; None for tables of variables, as they already are variables of the job."""
    return None if SETTINGS[key].kind is VARIABLES else f"GRAVSCOPE_{key.replace('.', '_').upper()}"


def nearest(given: str, known: Collection[str]) -> str | None:
    """A hint that names the known word most similar to `given`; None if there is none."""
    from gravscope.base.words import did_you_mean  # noqa: PLC0415 (only for this message)

    return did_you_mean(given, known)


def setting_for(given: str, known: Collection[str]) -> str | None:
    """A hint that names the setting which others call `given`, or the most similar one; None if there is none."""
    from gravscope.base import words  # noqa: PLC0415 (only for this message)

    return words.setting_for(given, known)
