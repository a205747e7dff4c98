"""`gravscope help`."""

from __future__ import annotations

from gravscope.base.errors import UsageError
from gravscope.cli.output import print_json
from gravscope.cli.root import app

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def help_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND...]", help="The command [default: all of them in short].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the commands, or how one of them is used."""
    import typer  # noqa: PLC0415 (40 ms)

    from gravscope.cli.mistakes import no_help  # noqa: PLC0415

    found = typer.main.get_command(app)
    context = found.make_context("gravscope", ["help"], resilient_parsing=True)
    for number, word in enumerate(words or []):
        below = getattr(found, "commands", {}).get(word)
        if below is None:
            raise UsageError(no_help([*(words or [])[:number], word]))
        found, context = below, below.make_context(word, [], parent=context, resilient_parsing=True)
    text = found.get_help(context)
    print_json({"command": words or [], "text": text}) if json else print(text)
