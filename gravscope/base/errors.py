"""The errors that gravscope reports. Each has a message, a hint what to do next, and an exit status.

The exit statuses are a contract (see `docs/architecture.md`); only `gravscope.cli` exits with them.
"""

from __future__ import annotations


class GravscopeError(Exception):
    """An error that is explained in one line. `exit_code` is the exit status of the command line."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None, instead: tuple[str, str] | None = None) -> None:
        """`instead` is a word as it was typed, and what it should have been, where that can be told: the command line
        then says the whole line."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.instead = instead

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}; {self.hint}"


class UsageError(GravscopeError):
    """The request itself is invalid: not a size, not a possible file name, a command that does not exist."""

    exit_code = 2


class NoSuchJobError(GravscopeError):
    """There is no job with this id, prefix or name."""

    exit_code = 3


class RefusedError(GravscopeError):
    """The request is valid but refused: the name is in use, or the job is in a state that does not allow it."""

    exit_code = 4


class UnsupportedError(GravscopeError):
    """This machine cannot do what was asked for."""

    exit_code = 5


class StoreError(GravscopeError):
    """The folder of records, or a record in it, cannot be read or written."""

    exit_code = 6


class WaitTimeoutError(GravscopeError):
    """The time limit for waiting was reached before the job ended; the job goes on."""

    exit_code = 124
