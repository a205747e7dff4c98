"""`gravscope completion`: a script for a shell, made of the command line itself.

Typer has a completion of its own, which starts the whole program at every TAB. These scripts hold all that is known
beforehand, and ask only for the names and ids of jobs (`gravscope.cli.complete`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gravscope.cli.command_tree import COMMAND, FILES, FOLDERS, Command, Option, Value, read
from gravscope.cli.output import print_json
from gravscope.cli.root import app

SHELLS = Path(__file__).parent / "shells"


class Shell(StrEnum):
    """The shells that there is a completion for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print the completion script for a shell. It knows commands, options, and names and ids of jobs."""

    text = script(shell, read(app))
    print_json({"shell": shell.value, "script": text}) if json else print(text, end="")


def script(shell: Shell, root: Command) -> str:
    """The whole script."""
    text = (SHELLS / f"gravscope.{shell}").read_text(encoding="utf-8")
    for mark, lines in {Shell.BASH: _bash, Shell.ZSH: _zsh, Shell.FISH: _fish}[shell](root).items():
        text = text.replace(f"#{mark}#", "\n".join(lines))
    return text


def _quoted(text: str) -> str:
    """One word, in single quotes, as all three shells read it but for the apostrophe: it is left as the typographic
    one, which needs nothing."""
    return "'" + text.replace("'", "’") + "'"


# bash

_BASH = {FILES: "@files", FOLDERS: "@folders", COMMAND: "@command"}


def _bash(root: Command) -> dict[str, list[str]]:
    return {"table": [_bash_row(command) for command in root.walk()]}


def _bash_row(command: Command) -> str:
    options = [
        f"{name}={_bash_kind(option.value)}" if option.value else name
        for option in command.options
        for name in option.names
    ]
    arguments = [_bash_kind(value) + ("..." if value.repeated else "") for value, _ in command.arguments]
    below = [each.words[-1] for each in command.commands]
    return (
        f"    {_quoted(' '.join(command.words))})\n"
        f"      commands={_quoted(' '.join(below))}\n"
        f"      options={_quoted(' '.join(options))}\n"
        f"      arguments={_quoted(' '.join(arguments))}\n"
        f"      ;;"
    )


def _bash_kind(value: Value) -> str:
    if value.which:
        return f"@ask:{value.which}"
    return "|".join(value.choices) or _BASH.get(value.metavar, "@nothing")


# zsh

_ZSH = {FILES: "_files", FOLDERS: "_files -/"}


def _zsh(root: Command) -> dict[str, list[str]]:
    # those below first: zsh does not mind, but a reader does
    commands = list(root.walk())
    return {"functions": [_zsh_function(command) for command in [*commands[1:], root]]}


def _zsh_function(command: Command) -> str:
    specs = [spec for option in command.options for spec in _zsh_option(option)]
    body = ["  local program=$words[1]"] if not command.words else []
    if command.commands:
        body += _zsh_group(command, specs)
    else:
        specs += _zsh_arguments(command)
        body.append(_zsh_call("-s -S", specs))
    return "\n".join([f"{_zsh_name(command)}() {{", *body, "}", ""])


def _zsh_group(command: Command, specs: list[str]) -> list[str]:
    lines = ["  local -a below", "  local context state state_descr line", "  typeset -A opt_args"]
    lines.append(_zsh_call("-C -S", [*specs, "'1: :->command'", "'*:: :->rest'"]))
    lines += ["  case $state in", "    command)", "      below=("]
    lines += [f"        {_zsh_text(each.words[-1], each.help)}" for each in command.commands]
    lines += [
        "      )",
        "      _describe -t commands command below",
        "      ;;",
        "    rest)",
        "      case $words[1] in",
    ]
    lines += [f"        {each.words[-1]}) {_zsh_name(each)} ;;" for each in command.commands]
    return [*lines, "      esac", "      ;;", "  esac"]


def _zsh_call(flags: str, specs: list[str]) -> str:
    return " \\\n".join([f"  _arguments {flags}", *(f"    {spec}" for spec in specs)])


def _zsh_name(command: Command) -> str:
    return "_".join(["_gravscope", *command.words]).replace("-", "_")


def _zsh_text(name: str, text: str) -> str:
    return _quoted(f"{name}:{text}")


def _zsh_option(option: Option) -> Iterator[str]:
    others = "*" if option.value and option.value.repeated else f"({' '.join(option.names)})"
    text = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    for name in option.names:
        if option.value is None:
            yield _quoted(f"{others}{name}[{text}]")
        else:
            glue = "=" if name.startswith("--") else "+"
            yield _quoted(f"{others}{name}{glue}[{text}]:{option.value.metavar}:{_zsh_action(option.value)}")


def _zsh_arguments(command: Command) -> Iterator[str]:
    for number, (value, _) in enumerate(command.arguments, 1):
        if value.launches:
            # nothing behind it is an option of ours
            yield from ("'(-)1:command:_command_names -e'", "'*::words:_normal'")
        else:
            place = "*" if value.repeated else str(number)
            yield _quoted(f"{place}:{value.metavar}:{_zsh_action(value)}")


def _zsh_action(value: Value) -> str:
    if value.which:
        return f"{{_gravscope_ask {value.which}}}"
    return f"({' '.join(value.choices)})" if value.choices else _ZSH.get(value.metavar, " ")


# fish

_FISH = {
    FILES: "-r -F",
    FOLDERS: "-x -a '(__fish_complete_directories)'",
    COMMAND: "-a '(__fish_complete_command)' -F",
}


def _fish(root: Command) -> dict[str, list[str]]:
    commands = list(root.walk())
    taking = [
        f"        case {_quoted(' '.join(command.words))}\n            printf '%s\\n' {' '.join(names)}"
        for command in commands
        if (names := [name for option in command.options if option.value for name in option.names])
    ]
    return {
        "groups": [" ".join(_quoted(" ".join(each.words)) for each in commands if each.commands and each.words)],
        "launching": [" ".join(_quoted(" ".join(each.words)) for each in commands if _launches(each))],
        "taking": taking,
        "completions": [line for command in commands for line in _fish_lines(command)],
    }


def _launches(command: Command) -> bool:
    return any(value.launches for value, _ in command.arguments)


def _fish_lines(command: Command) -> Iterator[str]:
    at = f"__gravscope_at {_quoted(' '.join(command.words))}"
    for each in command.commands:
        yield f'complete -c gravscope -n "{at}" -a {each.words[-1]} -d {_quoted(each.help)}'
    for option in command.options:
        words = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
        value = f" {_fish_value(option.value)}" if option.value else ""
        yield f'complete -c gravscope -n "{at}" {" ".join(words)}{value} -d {_quoted(option.help)}'
    for number, (argument, _) in enumerate(command.arguments, 1):
        before = "" if argument.repeated else f" {number}"
        what = _fish_value(argument)
        if what != "-x":
            yield f'complete -c gravscope -n "{at}{before}" {what.removeprefix("-x ").replace("-r ", "")}'


def _fish_value(value: Value) -> str:
    if value.which:
        return f"-x -k -a '(__gravscope_ask {value.which})'"
    return f"-x -a {_quoted(' '.join(value.choices))}" if value.choices else _FISH.get(value.metavar, "-x")
