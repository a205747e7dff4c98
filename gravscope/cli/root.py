"""The Typer application itself, to which `gravscope.cli.app` adds the commands.

Commands that tell of commands (help, completion, and what is said of mistakes) find it here.
"""

from __future__ import annotations

import typer

from gravscope import __version__
from gravscope.cli.overview import Commands

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
