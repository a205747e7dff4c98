"""The record as a type that checks what is read, and its JSON Schema (docs/record.schema.json).

Sizes are bytes, durations seconds, times ISO 8601 with offset. Unknown is null, never 0. `docs/record.md` describes
each field. The list of fields is `gravscope.records.fields`; what a user asks for is `gravscope.records.spec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from gravscope.records import fields, parts, types

__all__ = ["JobRecord", "record_schema"]

if TYPE_CHECKING:
    from gravscope.records.fields import JobRecord
else:

    def _struct(plain: type) -> type:
        """Makes a struct with the fields, defaults and methods of a plain class."""
        hints = get_type_hints(plain, globalns={**vars(types), **vars(parts)}, include_extras=True)
        own = {name: value for name, value in vars(plain).items() if not name.startswith("__") and name not in hints}
        return msgspec.defstruct(
            plain.__name__,
            [(name, hint, vars(plain)[name]) if name in vars(plain) else (name, hint) for name, hint in hints.items()],
            namespace={**own, "__doc__": plain.__doc__, "__post_init__": plain.__post_init__},
            module=__name__,
            kw_only=True,
        )

    JobRecord = _struct(fields.JobRecord)


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record, generated from the type."""
    schema = msgspec.json.schema(JobRecord)
    for described in schema["$defs"].values():
        if "description" in described:  # a docstring, whose lines are indented less by Python 3.13 and later
            described["description"] = " ".join(described["description"].split())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
