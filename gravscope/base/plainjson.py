"""JSON without the `json` package, which imports `re` and so would cost the supervisor 1.3 MB and 3 ms (measured,
CPython 3.11).

Strings are written, and texts are parsed, by the C part of that package, which CPython has had since 2.6.
"""

from __future__ import annotations

from _json import encode_basestring as _quote
from _json import make_scanner

Value = object
_LARGEST = 1.7976931348623157e308


def _finite(text: str) -> float:
    """`text` as a number. Raises ValueError for NaN, infinity and numbers too large for a float: JSON has none of them,
    and other readers reject them."""
    number = float(text)
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError(f"no such number: {text}")
    return number


class _Context:
    """The options of the C scanner (attributes of json.JSONDecoder)."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = staticmethod(_finite)
    parse_int = int
    parse_constant = staticmethod(_finite)
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}


_scan = make_scanner(_Context())  # type: ignore[arg-type]


def quote(text: str) -> str:
    """`text` as a JSON string."""
    return str(_quote(text))


def loads(text: str) -> Value:
    """The value of a JSON text. Raises ValueError, or StopIteration for an empty one."""
    try:
        return _scan(text, 0)[0]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Value, indent: str = "") -> str:
    """`value` as JSON, one entry per line, indented by two spaces per level. Raises TypeError for other types."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float) and not -_LARGEST <= value <= _LARGEST:
        return "null"  # JSON has neither NaN nor infinity
    if isinstance(value, int | float):
        return repr(value)
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{quote(key)}: {dumps(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, list | tuple):
        parts = [dumps(item, deeper) for item in value]
        opening, closing = "[", "]"
    else:
        raise TypeError(f"no JSON for {type(value).__name__}")
    if not parts:
        return opening + closing
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"
