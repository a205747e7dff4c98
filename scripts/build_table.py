"""Makes gravscope/cli/fast/table.py of the command line: python scripts/build_table.py. --print only prints it."""

from __future__ import annotations

import pprint
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# whatever is in its place, an unfinished edit included, is not looked at
sys.modules["gravscope.cli.fast.table"] = SimpleNamespace(COMMANDS={})  # type: ignore[assignment]

import typer  # noqa: E402

from gravscope.cli.app import COMMANDS, app  # noqa: E402
from gravscope.cli.fast import parser  # noqa: E402
from gravscope.cli.fast.parser import MANY, ONE, OPTIONAL, SOME, TEXT, TEXTS  # noqa: E402

HEAD = '''"""The command line as `cli.fast.parser` reads it. Made by scripts/build_table.py; not to be edited."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# fmt: off
'''
# numbers as large as a range goes without an end
_ENDLESS = 10**9


def table() -> dict[str, dict[str, Any]]:
    """Every command that has nothing but options of the usual kinds, and at most one argument of any text."""
    commands: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
    return {name: shape for name, each in commands.items() if (shape := _command(name, each)) is not None}


def _command(name: str, found: Any) -> dict[str, Any] | None:  # noqa: ANN401 (Typer keeps its own Click to itself)
    arguments = [each for each in found.params if each.param_type_name == "argument"]
    options = [each for each in found.params if each.param_type_name == "option"]
    plain = len(arguments) <= 1 and all(each.type.name == "str" for each in arguments)
    if name not in COMMANDS or name == "help" or not plain:  # help needs the whole application
        return None
    function = COMMANDS[name]
    return {
        "calls": f"{function.__module__}:{function.__name__}",
        "interspersed": found.context_settings.get("allow_interspersed_args", True),
        "arguments": {each.name: _number_of(each) for each in arguments},
        "options": {option: (each.name, kind) for each in options for option, kind in _names(each)},
    }


def _number_of(argument: Any) -> str:  # noqa: ANN401
    if argument.nargs == 1:
        return ONE if argument.required else OPTIONAL
    return SOME if argument.required else MANY


def _names(option: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    """Every name of an option, with what it means by that. Raises NotImplementedError for what only Typer knows how to
    do."""
    if option.callback or option.envvar or option.required or option.nargs != 1:
        raise NotImplementedError(
            f"{option.name}: gravscope.cli.fast.parser would pass its callback, variable or need by"
        )
    if option.is_flag:
        return [(name, True) for name in option.opts] + [(name, False) for name in option.secondary_opts]
    if option.type.name == "choice":
        kind: Any = tuple(option.type.choices)
    elif option.type.name == "int range":
        most = option.type.max
        kind = range(option.type.min, _ENDLESS if most is None else most + 1)
    elif option.type.name == "str":
        kind = TEXTS if option.multiple else TEXT
    else:
        raise NotImplementedError(f"{option.name}: gravscope.cli.fast.parser knows no {option.type.name}")
    return [(name, kind) for name in option.opts]


if __name__ == "__main__":
    text = f"{HEAD}COMMANDS: dict[str, Any] = {pprint.pformat(table(), width=118, sort_dicts=False)}\n"
    if "--print" in sys.argv[1:]:
        print(text, end="")
    else:
        Path(parser.__file__).with_name("table.py").write_text(text, encoding="utf-8")
