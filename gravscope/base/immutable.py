"""`Immutable`: a base class for values that do not change, like `@dataclass(frozen=True)`.

`dataclasses` is not used because it loads `inspect`, `ast` and `tokenize`, which takes 10 ms (measured, CPython 3.11)
at each launch of a job. Type checkers treat both alike (PEP 681).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_facts: object) -> object:
        """Stands for typing's decorator, which only type checkers need."""
        return lambda decorated: decorated


@dataclass_transform(frozen_default=True)
class Immutable:
    """A subclass declares its fields by annotations, in order, and their defaults by assignments.

    Values of the same class with equal fields are equal; a value has a hash if all its fields have one. The constructor
    raises TypeError for missing and unknown fields. Setting or deleting a field raises AttributeError.
    """

    _fields = tuple[str, ...]()

    def __init_subclass__(cls) -> None:
        cls._fields = (*cls._fields, *cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:  # noqa: ANN401 (a field may have any type)
        fields = self._fields
        given = {**dict(zip(fields, values, strict=False)), **named}
        if len(given) != len(values) + len(named) or not given.keys() <= {*fields}:
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}, each once")
        for name in fields:
            if name not in given and not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__}: {name} is missing")
            self.__dict__[name] = given[name] if name in given else getattr(type(self), name)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Raises an error for values that are not valid. A subclass may override it."""

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} does not change")

    def as_dict(self) -> dict[str, Any]:
        """The fields and their values. (An object that msgspec decoded has its defaults only in its class.)"""
        return {name: getattr(self, name) for name in self._fields}

    def __eq__(self, other: object) -> bool:
        return self.as_dict() == other.as_dict() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def replaced(self, **changes: Any) -> Self:  # noqa: ANN401
        """A copy with other values in some fields."""
        return type(self)(**{**self.as_dict(), **changes})
