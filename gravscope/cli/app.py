"""The Typer application: one file a command."""

from __future__ import annotations

import typer

from gravscope import __version__
from gravscope.cli import (
    cancel,
    completion,
    config,
    doctor,
    guard,
    limit,
    logs,
    make_include,
    pause,
    prune,
    rerun,
    run,
    show,
    status,
    units,
    wait,
)

app = typer.Typer(
    name="gravscope",
    help="Launch heavy jobs so that none can take the terminal or the machine down, and know what became of each.",
    no_args_is_help=False,
    add_completion=False,  # `gravscope completion` is ours, and quicker
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gravscope {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    del version  # its callback has done the work


run.add_to(app)
for command in (status, show, logs, cancel, wait, limit, pause, rerun, prune, config, doctor, make_include, completion):
    command.add_to(app)
guard.add_to(app)
units.add_to(app)
