"""Which of the places that give a setting a value wins.

They come in layers, each stronger than the one before: what is built in, the project's files, the user's file, the
environment. (Options are stronger than all of these; they are the command line's own affair.) Among the files, what is
said of jobs of one name is stronger than what is said of a pattern of names, and that than what stands above all
tables, whichever of them says it: a general default of the user's does not undo what a project has for one job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from gravscope.base.errors import UsageError
from gravscope.base.immutable import Immutable
from gravscope.records.ids import is_fit, normal
from gravscope.settings.known import SETTINGS, VARIABLES, Kind, Value, nearest, variable_of
from gravscope.settings.tomlfile import dotted, place

# the table of tables for jobs of certain names, or patterns of names
JOBS = "jobs"
_WILD = frozenset("*?[")
FOLDERS = frozenset({"jobs_dir", "log_dir"})

_TYPES = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "an array", dict: "a table"}
# what leads to a value in a file: ("jobs", "fit", "mem_high")
Keys = tuple[str, ...]


class Source(Immutable):
    """Where a value stands: in a table of a file, in a variable, or nowhere, for it is built in."""

    file: Path | None = None
    table: str = ""
    variable: str | None = None


class Found(Immutable):
    """The value that counts, and where it stands."""

    value: Value
    source: Source


class Layer(Immutable):
    """A file's settings as TOML holds them, `within` leading to the table that is ours; or, without a file, the
    environment's, as text by setting."""

    values: Mapping[str, object]
    file: Path | None = None
    within: Keys = ()


def environment(environ: Mapping[str, str]) -> Layer:
    """The environment as a layer. An empty variable counts as unset; a job's own (GRAVSCOPE_NAME …) are no settings."""
    names = {key: variable_of(key) for key in SETTINGS}
    return Layer({key: environ[name] for key, name in names.items() if name and environ.get(name)})


def resolve(layers: Iterable[Layer], job: str | None = None) -> dict[str, Found]:
    """The settings that have a value, and which they have for a job of this name. One variable of a table of variables
    is a setting for itself: `env.NAME`.

    Raises UsageError for anything wrong in any layer, whether it would have counted or not.
    """
    general = dict(_built_in())
    by_pattern: dict[str, Found] = {}
    by_name: dict[str, Found] = {}
    last: dict[str, Found] = {}
    for layer in layers:
        (last if layer.file is None else general).update(_top(layer))
        for pattern, values in job_tables(layer).items():
            if job is not None and fnmatchcase(job, pattern):
                (by_pattern if is_pattern(pattern) else by_name).update(values)
    found = {**general, **by_pattern, **by_name, **last}
    order = list(SETTINGS)
    return dict(sorted(found.items(), key=lambda item: order.index(setting_of(item[0]))))


def folders(layers: Iterable[Layer]) -> dict[str, Found]:
    """Where records and logs are, if that is said.

    What is wrong elsewhere in the files is no matter here: jobs that run have to be seen, and ended. But a name that is
    not known might have been meant for a folder.
    """
    found: dict[str, Found] = {}
    for layer in layers:
        found.update(_top(layer, FOLDERS))
    return found


def job_tables(layer: Layer) -> dict[str, dict[str, Found]]:
    """The settings for jobs of certain names, by name or pattern, the strongest last: patterns as they stand in the
    file, then names, which say more."""
    tables = layer.values.get(JOBS, {})
    if not isinstance(tables, dict):
        raise _wrong(layer, (JOBS,), f"{JOBS} must be a table, not {_type_of(tables)}", "write [jobs.NAME]")
    found: dict[str, dict[str, Found]] = {}
    for name in sorted(tables, key=lambda name: not is_pattern(name)):
        keys = (JOBS, name)
        if not _may_be(name):
            hint = "take letters and digits of any script, . _ -, or * ? []"
            raise _wrong(layer, keys, f"{dotted(keys)}: no job can have this name", hint)
        if not isinstance(tables[name], dict):
            raise _wrong(layer, keys, f"{dotted(keys)} must be a table, not {_type_of(tables[name])}")
        found.setdefault(normal(name), {}).update(_read(layer, tables[name], keys))
    return found


def _may_be(name: str) -> bool:
    """True for what can be a job's name, or a pattern of such."""
    return name[:1] not in ("", ".", "-", "]", "!") and all(each in "*?[]!" or is_fit(each) for each in normal(name))


def setting_of(key: str) -> str:
    """The name in SETTINGS of what `resolve` calls `key`."""
    return key if key in SETTINGS else key.rpartition(".")[0]


def variables(found: Mapping[str, Found], setting: str) -> dict[str, str]:
    """The variables of a table of variables."""
    return {key.rpartition(".")[2]: str(each.value) for key, each in found.items() if setting_of(key) == setting}


def is_pattern(name: str) -> bool:
    """True for the name of a table that stands for jobs of many names."""
    return not _WILD.isdisjoint(name)


def _built_in() -> Iterator[tuple[str, Found]]:
    for key, setting in SETTINGS.items():
        if isinstance(setting.default, Mapping):
            yield from ((f"{key}.{name}", Found(text, Source())) for name, text in setting.default.items())
        elif setting.default is not None:
            yield key, Found(setting.default, Source())


def _top(layer: Layer, only: Collection[str] = SETTINGS) -> Iterator[tuple[str, Found]]:
    """What holds for every job."""
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
    """The settings of the table that `at` leads to."""
    for word, value in table.items():
        key, keys = prefix + word, (*at, word)
        if isinstance(value, dict) and any(known.startswith(f"{key}.") for known in SETTINGS):
            yield from _read(layer, value, keys, f"{key}.", only)
        elif key not in SETTINGS:
            known = _known(at)
            hint = nearest(key, known) or f"known are {', '.join(sorted(known))}"
            raise _wrong(layer, keys, f"unknown setting {dotted(keys)}", hint)
        elif at[:1] == (JOBS,) and not SETTINGS[key].per_job:
            raise _wrong(layer, keys, f"{dotted(keys)}: jobs cannot differ in this", "set it above all tables")
        elif key in only:
            yield from _values(layer, key, value, keys)


def _values(layer: Layer, key: str, value: object, keys: Keys) -> Iterator[tuple[str, Found]]:
    """One setting; or, of a table of variables, each of them."""
    kind = SETTINGS[key].kind
    if kind is not VARIABLES:
        yield key, _found(layer, kind, value, keys)
        return
    if not isinstance(value, dict):
        raise _wrong(layer, keys, f"{dotted(keys)} must be a table, not {_type_of(value)}", f"write [{dotted(keys)}]")
    for name, text in value.items():
        if not (name.isascii() and name.isidentifier()):
            raise _wrong(layer, (*keys, name), f"{dotted((*keys, name))}: no variable can have this name")
        yield f"{key}.{name}", _found(layer, kind, text, (*keys, name))


def _found(layer: Layer, kind: Kind, value: object, keys: Keys) -> Found:
    try:
        return Found(_checked(kind, value, dotted(keys)), Source(layer.file, dotted((*layer.within, *keys[:-1]))))
    except UsageError as error:
        raise _wrong(layer, keys, error.message, error.hint) from None


def _checked(kind: Kind, value: object, said: str) -> Value:
    # True is an int in Python, and not in TOML
    if not isinstance(value, kind.types) or (isinstance(value, bool) and bool not in kind.types):
        raise UsageError(f"{said} must be {kind.words}, not {_type_of(value)}")
    return kind.check(value, said)


def _type_of(value: object) -> str:
    return _TYPES.get(type(value), "a date or time")


def _known(at: Keys) -> list[str]:
    """The names that the table `at` may hold."""
    if at[:1] == (JOBS,):
        return [key for key, setting in SETTINGS.items() if setting.per_job]
    return [*SETTINGS, JOBS]


def _wrong(layer: Layer, keys: Keys, complaint: str, hint: str | None = None) -> UsageError:
    """The error for what `keys` lead to in a layer's file."""
    where = place(layer.file, (*layer.within, *keys)) if layer.file is not None else "environment"
    return UsageError(f"{where}: {complaint}", hint)
