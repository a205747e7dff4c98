"""Loads result files and turns Jinja2 templates into pages."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from rep6.files import InputError, read_json, write_text

TEMPLATES = Path(__file__).with_name("templates")
SCHEMA = 1


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals and a real minus sign, or a dash for one that is not known."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """A difference: the sign is always shown, for it is what matters. A zero has none."""
    text = number(value, digits)
    return f"+{text}" if float(f"{value:.{digits}f}") > 0 else text


def compact(value: float | None) -> str:
    """A number with three significant digits, or a dash."""
    return "–" if value is None else f"{value:.3g}"


def p_value(test: dict[str, Any] | None) -> str:
    """The p-value of a permutation test, or a dash without one. The least that a test can give is an upper bound."""
    if test is None:
        return "–"
    least = test["p_value"] * (test["permutations"] + 1) < 1.5
    return f"≤ {compact(test['p_value'])}" if least else compact(test["p_value"])


def moment(text: str) -> str:
    """A time of a result file as people write it, in its own time zone (2026-11-27 03:17 UTC+09:00), or the text."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}".rstrip()
    except ValueError:
        return text


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
    environment.filters |= {
        "number": number,
        "signed": signed,
        "compact": compact,
        "p_value": p_value,
        "moment": moment,
    }
    write_text(path, environment.get_template(template).render(**values))
