"""The Typer application: one file a command. It is what help, errors and completion are made of; a command line that is
plainly right is read without it (`gravscope.cli.fast.parser`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import typer

from gravscope import __version__
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
from gravscope.cli.overview import Commands, OneCommand

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

app = typer.Typer(
    name="gravscope",
    cls=Commands,
    help="Launch heavy jobs so that none can take the terminal or the machine down, and know what became of each.",
    no_args_is_help=True,
    add_completion=False,  # `gravscope completion` is ours, and quicker
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="To begin: gravscope run -n NAME -- COMMAND. More of one command: gravscope help COMMAND.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gravscope {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    del version  # its callback has done the work


@app.command("version", hidden=True)
def _version() -> None:
    """What others call --version."""
    _print_version(True)


def add(to: typer.Typer, name: str, command: Function) -> None:
    """Adds a command, whose annotations may be text: of a module that does without Typer, and names only what is there
    anyway or stands in `gravscope.cli.options`."""
    names = {**vars(options), **command.__globals__}
    command.__annotations__ = get_type_hints(command, globalns=names, include_extras=True)
    # what follows the first word of COMMAND is the command's own, dashes or not
    of_a_command = {"allow_interspersed_args": False} if "command" in command.__annotations__ else {}
    to.command(name, cls=OneCommand, context_settings=of_a_command)(command)


for _name, _command in COMMANDS.items():
    add(app, _name, _command)
guard.add_to(app)
units.add_to(app)
