"""`gravscope config`: every setting, its value, and where that stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gravscope.base.errors import UsageError
from gravscope.base.names import check_name
from gravscope.base.redact import HIDDEN, is_secret_name, redact_word
from gravscope.cli.messages import one_line
from gravscope.cli.output import columns, cut, print_json, width
from gravscope.settings.known import SETTINGS, Value
from gravscope.settings.layers import JOBS, Found, Source, is_pattern, job_tables, setting_of
from gravscope.settings.project import Project, here
from gravscope.settings.tomlfile import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

_HEAD = ("KEY", "VALUE", "FROM")
# columns of a table between two of its own, and the least that a value or a place has
_GAP, _LEAST = 2, 10


def config(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="As a job of this name would have them.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show each setting, its value, and where that comes from. That is a file, a variable, or built in."""
    project = here()
    if name is not None and "=" in name:
        raise UsageError(how_to_set([name]))
    name = None if name is None else check_name(name)
    found = project.settings_for(name)
    of_jobs = {} if name is not None else _of_jobs(project)
    if json:
        print_json(as_json(project, found, of_jobs, name))
    else:
        rows = [_row(project, key, each) for key, each in _complete(project, found).items()]
        for job, values in of_jobs.items():
            rows += [(f"[{dotted((JOBS, job))}]", "", ""), *(_row(project, key, each) for key, each in values.items())]
        print("\n".join(table(rows, width())))


def how_to_set(typed: list[str]) -> str:
    """What is said of `config set mem_max 8G`, `config mem_max=8G` and the like: settings are written into a file."""
    if typed[0] in ("get", "list", "ls", "show"):
        return "config shows all settings; type: gravscope config"
    key, _, value = " ".join(typed).replace("=", " ").removeprefix("set ").strip().partition(" ")
    line = 'a line such as mem_max = "8G"'
    if key in SETTINGS and "." not in key and re.fullmatch(r"[\w%.:~/-]+", value):
        line = f"{key} = {value}" if SETTINGS[key].kind.types[0] in (bool, int) else f'{key} = "{value}"'
    return f"config shows settings, and changes none; write {line} into gravscope.toml"


def _of_jobs(project: Project) -> dict[str, dict[str, Found]]:
    """What is set for jobs of certain names or patterns of names, each from the strongest layer that sets it; names
    last, for they are stronger."""
    merged: dict[str, dict[str, Found]] = {}
    for layer in project.layers:
        for pattern, values in job_tables(layer).items():
            merged.setdefault(pattern, {}).update(values)
    return dict(sorted(merged.items(), key=lambda item: not is_pattern(item[0])))


def as_json(
    project: Project, found: dict[str, Found], of_jobs: dict[str, dict[str, Found]], name: str | None
) -> dict[str, Any]:
    """All of it; `jobs` only where no job is asked for."""
    return {
        "project": None if project.root is None else str(project.root),
        "name": name,
        "files": [str(layer.file) for layer in project.layers if layer.file is not None],
        "settings": {key: _entry(key, each) for key, each in _complete(project, found).items()},
        **({} if name is not None else {"jobs": {job: _entries(values) for job, values in of_jobs.items()}}),
    }


def _entries(values: dict[str, Found]) -> dict[str, Any]:
    return {key: _entry(key, each) for key, each in values.items()}


def _entry(key: str, found: Found | None) -> dict[str, Any]:
    source = Source() if found is None else found.source
    return {
        "value": None if found is None else _shown(key, found.value),
        "from": "file" if source.file else "environment" if source.variable else "default",
        "file": None if source.file is None else str(source.file),
        "table": source.table if source.file else None,
        "variable": source.variable,
    }


def _complete(project: Project, found: dict[str, Found]) -> dict[str, Found | None]:
    """Every setting, those that have no value too; folders as they are understood."""
    whole: dict[str, Found | None] = {}
    for setting in SETTINGS:
        values = {key: each for key, each in found.items() if setting_of(key) == setting}
        whole.update(values if values else dict.fromkeys([setting]))
    for key, folder in (("jobs_dir", project.jobs_dir), ("log_dir", project.log_dir)):
        given = whole[key]
        whole[key] = Found(str(folder), Source() if given is None else given.source)
    return whole


def _shown(key: str, value: Value) -> Value:
    """A value for other eyes. (A variable's own name tells whether it is a secret, and `env` before it does not.)"""
    if not isinstance(value, str):
        return value
    setting = setting_of(key)
    name = key if key == setting else key.removeprefix(f"{setting}.")
    return HIDDEN if is_secret_name(name) else redact_word(value)


def _row(project: Project, key: str, found: Found | None) -> tuple[str, str, str]:
    if found is None:
        return key, "-", "default"
    value = _shown(key, found.value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return key, one_line(text), one_line(_where(project, key, found.source))


def _where(project: Project, key: str, source: Source) -> str:
    """A file of the project by its name alone, the user's from ~ on; then the table in ours, but for the setting."""
    if source.file is None:
        return source.variable or "default"
    shown = source.file.name
    if source.file.parent != project.root:
        try:
            shown = f"~/{source.file.relative_to(Path.home())}"
        except (ValueError, RuntimeError):
            shown = str(source.file)
    inner = source.table.removeprefix("tool.gravscope").removesuffix(key.rpartition(".")[0]).strip(".")
    return f"{shown}:{inner}" if inner else shown


def table(rows: list[tuple[str, str, str]], most: int) -> list[str]:
    """The rows as lines of at most `most` columns, each cell below the head of its column. Keys stay whole; of values
    and places as little is cut as can be, of a path its front."""
    cells = [_HEAD, *(row for row in rows if row[2])]
    keys = min(max(columns(key) for key, _, _ in [*cells, *rows]), most // 2)
    room = most - keys - 2 * _GAP
    sizes = [(columns(value), columns(place)) for _, value, place in cells]
    longest, furthest = max(value for value, _ in sizes), max(place for _, place in sizes)
    choices = range(min(_LEAST, longest), room - min(_LEAST, furthest) + 1)
    best = min(choices, key=lambda at: (_cut_off(sizes, at, room - at), abs(room - 2 * at)), default=_LEAST)
    values = min(longest, best)
    places = min(furthest, max(_LEAST, room - values))
    lines = []
    for key, value, place in [_HEAD, *rows]:
        if not place:
            lines.append(cut(key, most).rstrip())  # a heading
            continue
        line = [cut(key, keys), cut(value, values, front=value.startswith("/")), cut(place, places, front=True)]
        lines.append((" " * _GAP).join(line).rstrip())
    return lines


def _cut_off(sizes: list[tuple[int, int]], values: int, places: int) -> int:
    """How many columns of values and places of these sizes are not seen where they have so much room."""
    return sum(max(0, value - values) + max(0, place - places) for value, place in sizes)
