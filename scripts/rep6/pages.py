"""Loads result files and turns Jinja2 templates into pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from rep6.files import InputError, read_json, write_text

TEMPLATES = Path(__file__).with_name("templates")
SCHEMA = 1


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals, or a dash for one that is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def compact(value: float | None) -> str:
    """A number with three significant digits, or a dash: for values of any size, such as p-values."""
    return "–" if value is None else f"{value:.3g}"


def load_result(path: Path, hint: str, **expected: str) -> dict[str, Any]:
    """A result file whose schema and the expected entries are right, else InputError."""
    result = read_json(path, hint)
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise InputError(f"{path} is not a result of schema {SCHEMA}")
    for name, value in expected.items():
        if result.get(name) != value:
            raise InputError(f"{path}: {name} is {result.get(name)!r} instead of {value!r}")
    return result


def write_page(path: Path, template: str, **values: Any) -> None:  # noqa: ANN401 (whatever the template shows)
    """Render a template with autoescape on and replace the page in one step."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "compact": compact}
    write_text(path, environment.get_template(template).render(**values))
