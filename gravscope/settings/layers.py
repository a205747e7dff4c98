"""Decides which place wins if several set a value.

The layers, from weak to strong: the defaults, the project's files, the user's file, the environment. (Options of the
command line are stronger still; they are handled there.) Among the files, a setting for one job name is stronger than
one for a pattern of names, and that is stronger than one for all jobs, whichever file it is in. So a general setting of
the user does not override what a project sets for one job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.base.names import is_fit, normal
from gravscope.settings.known import SETTINGS, VARIABLES, Kind, Value, setting_for, variable_of
from gravscope.settings.tomlfile import dotted, location

# The table with the settings per job, and the characters of a job name or a pattern of names.
JOBS = "jobs"
_WILD = frozenset("*?[")
FOLDERS = frozenset({"jobs_dir", "log_dir"})

_TYPES = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "an array", dict: "a table"}
# The keys that lead to a value in a file: ("jobs", "fit", "mem_high").
Keys = tuple[str, ...]


class Source(Immutable):
    """Where a value is set: in a table of a file, in a variable, or nowhere, for a default."""

    file: Path | None = None
    table: str = ""
    variable: str | None = None


class Found(Immutable):
    """The value that wins, and where it is set."""

    value: Value
    source: Source


class Layer(Immutable):
    """A file's settings as read from TOML, where `within` are the keys of gravscope's table. Without a file: the
    settings from the environment, as text."""

    values: Mapping[str, object]
    file: Path | None = None
    within: Keys = ()


def environment(environ: Mapping[str, str]) -> Layer:
    """The environment as a layer. Empty variables count as unset; those of a job (GRAVSCOPE_NAME …) do not count."""
    names = {key: variable_of(key) for key in SETTINGS}
    return Layer({key: environ[name] for key, name in names.items() if name and environ.get(name)})


def resolve(layers: Iterable[Layer], job: str | None = None) -> dict[str, Found]:
    """The settings that have a value, for a job of this name. Each variable in a table of variables is a setting of its
    own: `env.NAME`.

    Raises UsageError for any mistake in any layer, even if another layer overrides it.
    """
    general = dict(_built_in())
    by_pattern: dict[str, Found] = {}
    by_name: dict[str, Found] = {}
    last: dict[str, Found] = {}
    for layer in layers:
        (last if layer.file is None else general).update(_for_all_jobs(layer))
        for pattern, values in job_tables(layer).items():
            if job is not None and fnmatchcase(job, pattern):
                (by_pattern if is_pattern(pattern) else by_name).update(values)
    found = {**general, **by_pattern, **by_name, **last}
    order = list(SETTINGS)
    return dict(sorted(found.items(), key=lambda item: order.index(setting_of(item[0]))))


def folders(layers: Iterable[Layer]) -> dict[str, Found]:
    """The folders of records and logs, where they are set.

    Other mistakes in the files are ignored here, since running jobs must be visible and must be cancellable. But an
    unknown name is an error, as it may be a misspelt name of a folder.
    """
    found: dict[str, Found] = {}
    for layer in layers:
        found.update(_for_all_jobs(layer, FOLDERS))
    return found


def job_tables(layer: Layer) -> dict[str, dict[str, Found]]:
    """The settings per job, by name or pattern, the strongest last: the patterns in the order of the file, then the
    names, which are more specific."""
    tables = layer.values.get(JOBS, {})
    if not isinstance(tables, dict):
        raise _error(layer, (JOBS,), f"{JOBS} must be a table, not {_type_of(tables)}", "write [jobs.NAME]")
    found: dict[str, dict[str, Found]] = {}
    for name in sorted(tables, key=lambda name: not is_pattern(name)):
        keys = (JOBS, name)
        if not _may_be(name):
            hint = "take letters and digits of any script, . _ -, or * ? []"
            raise _error(layer, keys, f"{dotted(keys)}: no job can have this name", hint)
        if not isinstance(tables[name], dict):
            raise _error(layer, keys, f"{dotted(keys)} must be a table, not {_type_of(tables[name])}")
        found.setdefault(normal(name), {}).update(_read(layer, tables[name], keys))
    return found


def _may_be(name: str) -> bool:
    """True for what can be a job's name, or a pattern of such."""
    return name[:1] not in ("", ".", "-", "]", "!") and all(each in "*?[]!" or is_fit(each) for each in normal(name))


def setting_of(key: str) -> str:
    """The name in SETTINGS for a key of `resolve`."""
    return key if key in SETTINGS else key.rpartition(".")[0]


def variables(found: Mapping[str, Found], setting: str) -> dict[str, str]:
    """The variables in a table of variables."""
    return {key.rpartition(".")[2]: str(each.value) for key, each in found.items() if setting_of(key) == setting}


def is_pattern(name: str) -> bool:
    """True if the name of a table is a pattern for many job names."""
    return not _WILD.isdisjoint(name)


def _built_in() -> Iterator[tuple[str, Found]]:
    for key, setting in SETTINGS.items():
        if isinstance(setting.default, Mapping):
            yield from ((f"{key}.{name}", Found(text, Source())) for name, text in setting.default.items())
        elif setting.default is not None:
            yield key, Found(setting.default, Source())


def _for_all_jobs(layer: Layer, only: Collection[str] = SETTINGS) -> Iterator[tuple[str, Found]]:
    """The settings for all jobs."""
    if layer.file is not None:
        yield from _read(layer, {key: value for key, value in layer.values.items() if key != JOBS}, (), only=only)
        return
    for key, text in layer.values.items():
        kind, name = SETTINGS[key].kind, str(variable_of(key))
        if key in only:
            yield key, Found(_checked(kind, kind.from_text(str(text)), name), Source(variable=name))


def _read(
    layer: Layer, table: Mapping[str, object], at: Keys, prefix: str = "", only: Collection[str] = SETTINGS
) -> Iterator[tuple[str, Found]]:
    """The settings of the table under the keys `at`."""
    for word, value in table.items():
        key, keys = prefix + word, (*at, word)
        if isinstance(value, dict) and any(known.startswith(f"{key}.") for known in SETTINGS):
            yield from _read(layer, value, keys, f"{key}.", only)
        elif key not in SETTINGS:
            known = _known(at)
            hint = setting_for(key, known) or f"known are {', '.join(sorted(known))}"
            raise _error(layer, keys, f"unknown setting {dotted(keys)}", hint)
        elif at[:1] == (JOBS,) and not SETTINGS[key].per_job:
            raise _error(layer, keys, f"{dotted(keys)}: jobs cannot differ in this", "set it above all tables")
        elif key in only:
            yield from _values(layer, key, value, keys)


def _values(layer: Layer, key: str, value: object, keys: Keys) -> Iterator[tuple[str, Found]]:
    """One setting; for a table of variables, each variable in it."""
    kind = SETTINGS[key].kind
    if kind is not VARIABLES:
        yield key, _found(layer, kind, value, keys)
        return
    if not isinstance(value, dict):
        raise _error(layer, keys, f"{dotted(keys)} must be a table, not {_type_of(value)}", f"write [{dotted(keys)}]")
    for name, text in value.items():
        if not (name.isascii() and name.isidentifier()):
            raise _error(layer, (*keys, name), f"{dotted((*keys, name))}: no variable can have this name")
        yield f"{key}.{name}", _found(layer, kind, text, (*keys, name))


def _found(layer: Layer, kind: Kind, value: object, keys: Keys) -> Found:
    try:
        return Found(_checked(kind, value, dotted(keys)), Source(layer.file, dotted((*layer.within, *keys[:-1]))))
    except UsageError as error:
        raise _error(layer, keys, error.message, error.hint) from None


def _checked(kind: Kind, value: object, label: str) -> Value:
    # In Python, True is an int; in TOML it is not.
    if not isinstance(value, kind.types) or (isinstance(value, bool) and bool not in kind.types):
        raise UsageError(f"{label} must be {kind.words}, not {_type_of(value)}")
    return kind.check(value, label)


def _type_of(value: object) -> str:
    return _TYPES.get(type(value), "a date or time")


def _known(at: Keys) -> list[str]:
    """The names that are allowed in the table under the keys `at`."""
    if at[:1] == (JOBS,):
        return [key for key, setting in SETTINGS.items() if setting.per_job]
    return [*SETTINGS, JOBS]


def _error(layer: Layer, keys: Keys, complaint: str, hint: str | None = None) -> UsageError:
    """The error for the value under `keys` in a layer's file."""
    where = location(layer.file, (*layer.within, *keys)) if layer.file is not None else "environment"
    return UsageError(f"{where}: {complaint}", hint)
