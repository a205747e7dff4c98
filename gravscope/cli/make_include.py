"""`gravscope make-include`."""

from __future__ import annotations

from typing import Annotated

import typer

from gravscope.actions import shipped
from gravscope.cli.output import print_json


def make_include(json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Print the path of the Make include: in a Makefile, include $(shell gravscope make-include)."""
    path = str(shipped.path_of("gravscope.mk"))
    print_json({"path": path}) if json else print(path)


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("make-include")(make_include)
