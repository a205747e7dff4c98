"""The command line: the only Typer, the only printing, the only exit."""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn

from gravscope.errors import GravscopeError

# seconds
DAY = 86400


def main() -> NoReturn:
    """The `gravscope` command. Whatever goes wrong is one line on standard error and the exit status it stands for."""
    _have_standard_streams()
    if abs(time.localtime().tm_gmtoff) >= DAY:  # ISO 8601, and Python, have no such offsets
        complain(f"TZ={os.environ.get('TZ', '')} is a day or more off UTC; set it to a time zone, such as Asia/Tokyo")
        sys.exit(2)
    sys.exit(_status(sys.argv[1:]))


def _status(arguments: list[str]) -> int:
    if arguments[:1] == ["_complete"]:
        return _complete(arguments[1:])
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


def _complete(arguments: list[str]) -> int:
    """For the shells alone: no command, in no help, and quick."""
    from gravscope.cli.complete import complete  # noqa: PLC0415

    kind, prefix = (*arguments, "", "")[:2]
    try:
        print("".join(f"{line}\n" for line in complete(kind, prefix)), end="", flush=True)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)  # not a word: this is somebody's prompt
    return 0


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
    from gravscope.actions.hide import hide_in_text  # noqa: PLC0415 (it takes msgspec along)

    print(f"gravscope: {one_line(hide_in_text(line))}", file=sys.stderr)


def one_line(text: str) -> str:
    """`text` with whatever would end the line, or tell a terminal to do anything, escaped: names of files hold it."""
    harmless = "\u3000\u200d"  # the wide space of Japanese, and what joins emoji
    return "".join(
        each if each.isprintable() or each in harmless else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
