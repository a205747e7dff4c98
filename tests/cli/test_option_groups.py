"""Options in groups: each is listed once, and reaches the command whichever way the command line was read."""

from __future__ import annotations

from typing import get_args

import pytest
import typer

from gravscope.actions.launch.spec import Changes, Typed, TypedLimits
from gravscope.base.immutable import Immutable
from gravscope.cli import options
from gravscope.cli.app import COMMANDS, add
from gravscope.cli.option_groups import Grouped, made, options_of, takes


class Inner(Immutable):
    """A group in a group."""

    size: str | None = None


class Outer(Immutable):
    """A group."""

    name: str | None = None
    inner: Inner = Inner()
    json: bool = False


def test_what_is_given_is_put_into_its_group() -> None:
    """Fields of inner groups too; what is no field of the group stays, and None is as if it were not given."""
    given = {"name": "a", "size": "1G", "json": None, "other": 1}
    assert made(Outer, given) == Outer(name="a", inner=Inner(size="1G"))
    assert given == {"other": 1}


def test_a_command_is_called_with_objects() -> None:
    """It gets its own parameters as they are, and keeps its name, which the table of commands needs."""
    calls = []

    @takes(outer=Outer)
    def command(job: str, outer: Outer) -> None:
        """Does it."""
        calls.append((job, outer))

    assert isinstance(command, Grouped)
    command(job="j", size="2G")
    assert calls == [("j", Outer(inner=Inner(size="2G")))]
    assert (command.__name__, command.__doc__) == ("command", "Does it.")


@pytest.mark.parametrize("group", [Changes, Typed, TypedLimits])
def test_every_option_has_its_help(group: type[Immutable]) -> None:
    """Each field stands in `cli.options`, and a field without a value there is one without a value in its class."""
    for name, default in options_of(group):
        kind, option = get_args(options.OF_FIELD[name])[:2]
        assert option.help, name
        assert (default is False) == (kind is bool), name


def test_typer_sees_each_option(capsys: pytest.CaptureFixture[str]) -> None:
    """In its help they stand one by one; where defaults are not the options' own, none is named."""

    @takes(defaults=False, limits=TypedLimits)
    def command(limits: TypedLimits) -> None:
        """Does it."""

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    add(app, "command", command)
    typer.main.get_command(app).main(["--help"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "--swap-max SIZE" in shown
    assert "default" not in shown


def test_run_and_rerun_share_their_options() -> None:
    """But for the command, which rerun has from the record."""
    run, rerun = (set(COMMANDS[name].__annotations__) for name in ("run", "rerun"))
    assert run - rerun == {"command", "shell"}
    assert rerun - run == {"job"}
