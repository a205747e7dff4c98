"""The command line: the only Typer, the only printing, the only exit."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from gravscope.errors import GravscopeError


def main() -> NoReturn:
    """The `gravscope` command. Whatever goes wrong is one line on standard error and the exit status it stands for."""
    _have_standard_streams()
    sys.exit(_status(sys.argv[1:]))


def _status(arguments: list[str]) -> int:
    import typer  # noqa: PLC0415 (40 ms, which `gravscope.cli` itself need not cost)
    from typer.exceptions import TyperException  # noqa: PLC0415

    from gravscope.cli.app import app  # noqa: PLC0415

    try:
        status = typer.main.get_command(app).main(arguments, prog_name="gravscope", standalone_mode=False)
        sys.stdout.flush()
    except GravscopeError as error:
        complain(str(error))
        return error.exit_code
    except TyperException as error:
        complain(" ".join(error.format_message().split()) + "; type: gravscope --help")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # whoever read our output has enough of it (head, less); Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return status if isinstance(status, int) else 0


def _have_standard_streams() -> None:
    """Makes standard input, output and error what they are elsewhere where a caller closed them (`<&- >&-`).

    Otherwise the first files that we open get their numbers, and what is meant to be inherited is lost. Text that the
    locale's encoding does not have is shown escaped.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def complain(line: str) -> None:
    """One line on standard error."""
    print(f"gravscope: {line}", file=sys.stderr)
