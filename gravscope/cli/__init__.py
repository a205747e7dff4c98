"""The command line: the only Typer, the only printing, the only exit."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
from contextlib import suppress

from gravscope.base.errors import GravscopeError
from gravscope.cli.fast import parser
from gravscope.cli.messages import note, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import NoReturn

# seconds
DAY = 86400
# the supervisor's words about a command that cannot be started
NOT_STARTED = ("command not found: ", ": No such file or directory", ": Permission denied", ": Exec format error")


def main() -> NoReturn:
    """The `gravscope` command: does what was typed, and ends this process with the exit status that it stands for.

    At once: the interpreter takes 3 ms to put away what the kernel is about to put away anyway.
    """
    _have_standard_streams()
    try:
        status = status_of(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141  # whoever read our output has enough of it (head, less)
    except OSError as error:
        status = _said(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            status = 141
        except (OSError, ValueError) as error:  # the latter of a stream that was closed
            status = status or _said(error)
    os._exit(status)


def _said(error: OSError | ValueError) -> int:
    """One line of what the kernel did not want: of a file, or mostly of standard output."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        about = os.fsdecode(error.filename) if error.filename else "standard output" if full else None
        line = one_line(": ".join(filter(None, ("gravscope", about, error.strerror or str(error)))))
        with suppress(OSError):
            os.write(2, f"{line}\n".encode(errors="backslashreplace"))
    return 1


def status_of(arguments: list[str]) -> int:
    """Does what `arguments` say. Whatever goes wrong is a line on standard error, and the exit status it stands for."""
    if abs(time.localtime().tm_gmtoff) >= DAY:  # ISO 8601, and Python, have no such offsets
        note(f"TZ={os.environ.get('TZ', '')} is a day or more off UTC; set it to a time zone, such as Asia/Tokyo")
        return 2
    if arguments[:1] == ["_complete"]:
        return _complete(arguments[1:])
    try:
        status = _call(arguments)
    except GravscopeError as error:
        note(_with_line(error, arguments))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return status if isinstance(status, int) else 0


def _call(arguments: list[str]) -> object:
    """Calls what was typed. Returns an exit status, if it has one of its own."""
    with suppress(parser.NotPlainError):
        module, function, given = parser.read(arguments)
        gc.disable()  # there is nothing to be collected in what is being loaded
        __import__(module)  # of importlib we need no more, and that would have to be loaded
        gc.enable()
        return getattr(sys.modules[module], function)(**given)
    return _call_by_typer(arguments)


def _call_by_typer(arguments: list[str]) -> object:
    import typer  # noqa: PLC0415 (40 ms)
    from typer.exceptions import TyperException  # noqa: PLC0415

    from gravscope.cli.app import app  # noqa: PLC0415

    mistakes = _mistakes()
    if (wrong := mistakes.one_dash(arguments)) is not None:
        note(wrong)
        return 2
    try:
        return typer.main.get_command(app).main(arguments, prog_name="gravscope", standalone_mode=False)
    except TyperException as error:
        if type(error).__name__ == mistakes.NO_ARGUMENTS:  # `gravscope` alone, or `gravscope units`: the overview
            print(error.format_message(), file=sys.stderr)
        else:
            note(mistakes.explain(error, arguments))
        return 2
    except typer.Abort:
        return 130


def _with_line(error: GravscopeError, arguments: list[str]) -> str:
    """What went wrong, and the whole line that would have done it, if that can be told."""
    line = None
    if error.instead is not None:
        line = _mistakes().about_value(arguments, error.message, *error.instead)
    elif arguments[:1] == ["run"] and any(words in error.message for words in NOT_STARTED):
        line = _mistakes().about_command(arguments, error.message)
    return str(error) if line is None else f"{error.message}; {line}"


def _mistakes() -> ModuleType:
    """What tells of mistakes. It reads the application, to which `gravscope.cli.app` has to have added the commands."""
    from gravscope.cli import app, mistakes  # noqa: PLC0415 (40 ms)

    del app
    return mistakes


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
