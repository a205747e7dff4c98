"""Commands that take groups of options: the options of a launch are listed once, as the fields of a class.

`run`, `rerun` and `limit` share options. Each function of theirs takes an object with a field for each option;
`gravscope.cli.app` shows Typer the fields one by one, with their help from `gravscope.cli.options`.
"""

from __future__ import annotations

from gravscope.base.immutable import Immutable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Group = type[Immutable]
else:
    Group = type


class Grouped:
    """A command: called with each option by its name, it calls `function` with the objects that hold them."""

    def __init__(self, function: Callable[..., object], groups: dict[str, Group], *, defaults: bool) -> None:
        self.function, self.groups, self.defaults = function, groups, defaults
        self.__name__, self.__module__, self.__doc__ = function.__name__, function.__module__, function.__doc__

    def __call__(self, **given: Any) -> object:  # noqa: ANN401 (whatever the options hold)
        """What `function` returns."""
        objects = {name: made(group, given) for name, group in self.groups.items()}
        return self.function(**objects, **given)


def takes(*, defaults: bool = True, **groups: Group) -> Callable[[Callable[..., object]], Grouped]:
    """Decorates a command: its parameters of these names are objects of these classes. Without `defaults`, what is left
    away has not the default that the help of the option names."""
    return lambda function: Grouped(function, groups, defaults=defaults)


def made(group: Group, given: dict[str, Any]) -> Immutable:
    """An object of the class with those of `given` that are its fields, which are taken out of `given`."""
    values: dict[str, object] = {}
    for name in group._fields:
        default = getattr(group, name, None)
        if isinstance(default, Immutable):
            values[name] = made(type(default), given)
        elif (value := given.pop(name, None)) is not None:
            values[name] = value
    return group(**values)


def options_of(group: Group) -> Iterator[tuple[str, object]]:
    """Each option of a class and its default, with those of the groups in it."""
    for name in group._fields:
        default = getattr(group, name)
        if isinstance(default, Immutable):
            yield from options_of(type(default))
        else:
            yield name, default
