"""`gravscope make-include`."""

from __future__ import annotations

from gravscope.actions.units import package_data
from gravscope.cli.output import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer


def make_include(json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Print the path of the include file for Makefiles. There: include $(shell gravscope make-include)"""
    path = str(package_data.path_of("gravscope.mk"))
    print_json({"path": path}) if json else print(path)
