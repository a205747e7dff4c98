"""The Typer application: one file a command. It is what help, errors and completion are made of; a command line that is
plainly right is read without it (`gravscope.cli.fast.parser`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from gravscope.cli import (
    cancel,
    completion,
    config,
    doctor,
    guard,
    help_,
    limit,
    logs,
    make_include,
    options,
    pause,
    prune,
    rerun,
    run,
    show,
    status,
    units,
    wait,
)
from gravscope.cli.option_groups import Grouped, options_of
from gravscope.cli.overview import OneCommand
from gravscope.cli.root import app

__all__ = ["COMMANDS", "add", "app"]

Function = Callable[..., Any]
# by their names, in the order of the help
COMMANDS: dict[str, Function] = {
    "run": run.run,
    "status": status.status,
    "show": show.show,
    "path": show.path,
    "logs": logs.logs,
    "cancel": cancel.cancel,
    "wait": wait.wait,
    "limit": limit.limit,
    "pause": pause.pause,
    "resume": pause.resume,
    "rerun": rerun.rerun,
    "prune": prune.prune,
    "config": config.config,
    "doctor": doctor.doctor,
    "make-include": make_include.make_include,
    "completion": completion.completion,
    "help": help_.help_,
}


def add(to: typer.Typer, name: str, command: Function) -> None:
    """Adds a command, whose annotations may be text: of a module that does without Typer, and names only what is there
    anyway or stands in `gravscope.cli.options`."""
    grouped = command if isinstance(command, Grouped) else Grouped(command, {}, defaults=True)
    function = grouped.function
    hints = get_type_hints(function, globalns={**vars(options), **function.__globals__}, include_extras=True)
    parameters = [each for own in signature(function).parameters.values() for each in _spelled_out(own, hints, grouped)]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(command)["__signature__"] = Signature(parameters)  # where inspect.signature looks
    # what follows the first word of COMMAND is the command's own, dashes or not
    of_a_command = {"allow_interspersed_args": False} if "command" in command.__annotations__ else {}
    to.command(name, cls=OneCommand, context_settings=of_a_command)(command)


def _spelled_out(own: Parameter, hints: dict[str, Any], command: Grouped) -> Iterator[Parameter]:
    """A parameter as Typer reads it; of one that is a group, each of its options."""
    if own.name not in command.groups:
        yield Parameter(own.name, Parameter.KEYWORD_ONLY, default=own.default, annotation=hints[own.name])
        return
    for name, default in options_of(command.groups[own.name]):
        hint = options.OF_FIELD[name] if command.defaults else _without_default(options.OF_FIELD[name])
        # an option without a value is None to Typer, also where it may be repeated
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=None if default == () else default, annotation=hint)


def _without_default(hint: Any) -> Any:  # noqa: ANN401 (Annotated[…] has no type of its own)
    """An option whose help names no default."""
    kind, option = hint.__origin__, copy(hint.__metadata__[0])
    option.help = option.help.partition(" [default: ")[0] + "." * (" [default: " in option.help)
    return Annotated[kind, option]


for _name, _command in COMMANDS.items():
    add(app, _name, _command)
guard.add_to(app)
units.add_to(app)
