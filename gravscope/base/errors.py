"""What can go wrong, as types: each error says what happened, what to type next, and the exit status it stands for.

The exit statuses are a contract (see `docs/architecture.md`); nothing but `gravscope.cli` turns them into an exit.
"""

from __future__ import annotations


class GravscopeError(Exception):
    """Anything that gravscope can explain in one line; `exit_code` is what the command line then exits with."""

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
    """The request itself is wrong: a size that is none, a name that cannot be a file's, a command that is not there."""

    exit_code = 2


class NoSuchJobError(GravscopeError):
    """No job of that id, prefix or name."""

    exit_code = 3


class RefusedError(GravscopeError):
    """The request is sound, and the answer is no: the name is busy, the job is not in a state for it."""

    exit_code = 4


class UnsupportedError(GravscopeError):
    """This machine cannot do what was demanded."""

    exit_code = 5


class StoreError(GravscopeError):
    """The folder of records, or a record in it, cannot be read or written."""

    exit_code = 6


class WaitTimeoutError(GravscopeError):
    """Waiting ended before the job did; the job goes on."""

    exit_code = 124
