"""`gravscope make-include`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import gravscope
from gravscope.cli.output import print_json
from gravscope.errors import UnsupportedError

_NAME = "gravscope.mk"


def make_include(json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Print the path of the Make include: in a Makefile, include $(shell gravscope make-include)."""
    path = str(include_path())
    print_json({"path": path}) if json else print(path)


def include_path() -> Path:
    """Where the include is: in the installed package, or at the top of a checkout."""
    package = Path(gravscope.__file__).parent
    for place in (package / "data" / _NAME, package.parent / _NAME):
        if place.is_file():
            return place
    raise UnsupportedError(f"{_NAME} is missing from this installation", "install gravscope anew")


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("make-include")(make_include)
