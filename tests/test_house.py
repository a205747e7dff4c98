"""The order of the house: who may import whom, and what the small processes may load at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import REPOSITORY, path_without_systemd

PACKAGE = REPOSITORY / "gravscope"
# A room imports only rooms that stand before it in this list.
ROOMS = [
    "base", "linux", "settings", "records", "systemd", "notify", "launchers", "supervisor", "actions", "guard", "api",
    "cli", "__main__",
]  # fmt: skip
# And inside `actions`, a folder imports only folders that stand before it.
ACTIONS = ["look", "units", "doctor", "launch", "control", "keep", "guard"]
RANK = {room: rank for rank, room in enumerate(ROOMS)}
# What the supervisor may load of the other rooms: it has it in memory for as long as a job runs.
SMALL = {
    "base", "base.plainjson", "base.stamp", "linux", "linux.cgroup", "linux.files", "linux.proc", "records",
    "records.outcome", "supervisor",
}  # fmt: skip
C_ONLY = {
    "os", "time", "errno", "fcntl", "gc", "marshal", "select", "_signal", "_ctypes", "_json", "_socket", "sys",
    "__future__",
}  # fmt: skip
# how a module would speak to the user, or end the process, over everybody's head
LOUD = {"print", "input", "exit", "quit", "sys.exit", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write"}
ROOT_ITSELF = "__init__"


def modules() -> list[str]:
    """Every module's dotted name within the package; its own __init__ by that word."""
    names = [path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(parts).removesuffix(".__init__") for parts in names if parts[0] != "data")


def path_of(module: str) -> Path:
    """The file of a module."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """The dotted names of all that a module imports anywhere in it, late imports inside functions too."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides whom it reaches"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    """The room that a module belongs to."""
    return module.partition(".")[0]


def modules_reached(module: str) -> set[str]:
    """The modules of the package that a module names in its imports; the package's own __init__ is none."""
    names = (name.removeprefix("gravscope.") for name in imports(module) if name.startswith("gravscope."))
    return {found for name in names if (found := longest_module(name))}


def longest_module(name: str) -> str:
    """The module in which a dotted name stands: "records.store.Store" stands in "records.store"."""
    while name and not (PACKAGE.joinpath(*name.split(".")).is_dir() or path_of(name).exists()):
        name = name.rpartition(".")[0]
    return name


def rooms_reached(module: str) -> set[str]:
    """The rooms of the package that a module reaches."""
    return {room_of(name) for name in modules_reached(module)}


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """The nodes from which a way along the arrows leads back to themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            new = arrows.get(ahead.pop(), set()) - found
            found |= new
            ahead += new
        return found

    return {node for node in arrows if node in reached(node)}


def outside(module: str) -> set[str]:
    """The top-level names of all that a module imports from outside of the package."""
    return {name.partition(".")[0] for name in imports(module)} - {"gravscope"}


def names_called(module: str) -> set[str]:
    """Everything that a module calls, as it is written: print, sys.exit, os._exit …"""
    return {ast.unparse(node.func) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)}


MODULES = [module for module in modules() if module != ROOT_ITSELF]


def test_the_walk_sees_the_house() -> None:
    """It finds the modules that there are, and knows imports when it sees them: a blind walk would pass everything."""
    there = {"base.errors", "supervisor.main", "supervisor", "actions.launch.run", "cli.app", "guard", "__main__"}
    assert there <= set(MODULES)
    assert {"linux.files", "base.errors", "base.words", "records.model", "records.legacy"} <= modules_reached(
        "records.store"
    )
    assert {"linux.cgroup", "supervisor.syscalls"} <= modules_reached("supervisor.command")
    assert "actions.look.settle" not in modules_reached("actions.launch.run")
    assert {"msgspec", "heapq", "os"} <= outside("records.store")
    assert "print" in names_called("cli")
    assert "sys.exit" in names_called("guard")
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {"b", "c"}


def test_every_module_has_its_room() -> None:
    """A module stands in a room, and a room in the list above: the landing has nothing but the package's front."""
    assert {room_of(module) for module in MODULES} == RANK.keys()
    folders = {module.split(".")[1] for module in MODULES if module.startswith("actions.")}
    assert folders == {*ACTIONS, "notifier"}, "the latter is a path that running jobs of an older version know"


def test_every_room_has_a_sign() -> None:
    """Its __init__.py says what lives there, and loads nothing: whoever needs one module loads that one."""
    for room in [*(PACKAGE / room for room in ROOMS), *(PACKAGE / "actions" / folder for folder in ACTIONS)]:
        if room.is_dir() and room.name not in ("cli", "launchers"):
            sign = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
            assert ast.get_docstring(sign), room
            assert len(sign.body) == 1, room


def test_a_house_that_one_can_keep_in_mind() -> None:
    """Few entries on the landing and among the actions, and no file or function that has to be scrolled for long."""
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 16
    assert len([path for path in (PACKAGE / "actions").iterdir() if path.name != "__pycache__"]) <= 10
    for module in MODULES:
        assert path_of(module).read_text(encoding="utf-8").count("\n") <= 400, module


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_long(module: str) -> None:
    """At most 60 lines, its docstring and its decorators' options included."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or node.lineno) - node.lineno < 60, node.name


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    """Late imports included: none reaches down."""
    room = room_of(module)
    wrong = {other for other in rooms_reached(module) if other != room and RANK[other] >= RANK[room]}
    assert not wrong


@pytest.mark.parametrize(
    "module", [module for module in MODULES if module.startswith("actions.") and module != "actions.notifier"]
)
def test_a_folder_of_actions_imports_only_what_stands_above_it(module: str) -> None:
    """What looks changes nothing, so it needs nothing of what does."""
    at = ACTIONS.index(module.split(".")[1])
    reached = {name.split(".")[1] for name in modules_reached(module) if name.startswith("actions.")}
    assert not {folder for folder in reached if ACTIONS.index(folder) > at}


def test_no_imports_go_round() -> None:
    """Neither at the top of modules nor within functions: a circle is two modules that are one."""
    assert circles({module: modules_reached(module) - {module} for module in MODULES}) == set()


def test_the_package_itself_imports_nothing() -> None:
    """The supervisor and the guard pass through it: what it names for type checkers is not what it loads."""
    for_type_checkers = {"guard", "api", "base.errors", "records.model", "records.spec"}
    assert modules_reached(ROOT_ITSELF) <= for_type_checkers
    assert outside(ROOT_ITSELF) == {"importlib"}
    assert loaded_by("import gravscope") == {"gravscope"}


@pytest.mark.parametrize("module", [module for module in MODULES if module in SMALL or room_of(module) == "supervisor"])
def test_what_the_supervisor_uses_is_small(module: str) -> None:
    """Only C modules, os, and each other: whatever it imports stays in memory as long as a job runs."""
    assert outside(module) <= C_ONLY
    assert {name for name in modules_reached(module) if room_of(name) != "supervisor"} <= SMALL


def test_the_outcome_imports_nothing_at_all() -> None:
    """Evidence in, outcome out: a pure function has nothing to reach for."""
    assert outside("records.outcome") == {"__future__"}
    assert modules_reached("records.outcome") == set()
    assert not {"open", "print"} & names_called("records.outcome")


def test_supervisor_and_actions_never_meet() -> None:
    """They meet in the record on disk; nor does anything but the launcher's argument list know the supervisor."""
    for module in MODULES:
        if room_of(module) != "supervisor":
            assert "supervisor" not in rooms_reached(module), module
        if room_of(module) not in ("actions", "api", "cli"):
            assert "actions" not in rooms_reached(module), module


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) not in ("cli", "__main__")])
def test_only_the_command_line_draws_prints_and_exits(module: str) -> None:
    """No typer, no rich, no print, no exit elsewhere; but the guard exits and writes to standard error by design."""
    assert not {"typer", "click", "rich"} & outside(module)
    written = names_called(module)
    if module == "guard":
        assert LOUD & written == {"sys.exit"}
        return
    assert not LOUD & written
    raised = {ast.unparse(node) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Raise) and node.exc}
    assert not any("SystemExit" in text for text in raised)


def test_the_guard_imports_os_and_sys() -> None:
    """And not even __future__: it stands at the top of scripts that are started thousands of times."""
    assert set(imports("guard")) == {"os", "sys"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a bare interpreter has loaded after `statement`, beyond those it has anyway."""
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        f"sys.path.append({str(REPOSITORY)!r})\n{statement}\nprint(*set(sys.modules) - before)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def in_rooms(**rooms: str) -> set[str]:
    """Dotted names, from the modules of each room; the rooms themselves, which are loaded first, are among them."""
    names = set()
    for room, modules in rooms.items():
        parts = room.split("__")
        names |= {".".join(parts[: count + 1]) for count in range(len(parts))}
        names |= {".".join([*parts, module]) for module in modules.split()}
    return names


# Of the package, all that a `gravscope run` which goes well loads, and of the standard library what that names itself.
# Neither Typer nor msgspec, nor what takes more than two milliseconds, but for `re` and `pathlib`.
RUN = in_rooms(
    actions__launch="exposed_folders launch spec",
    actions__look="owner",
    base="errors immutable names plainjson printable quantity redact_hint spawn stamp",
    cli="afterwards messages option_groups run",
    cli__fast="parser table",
    launchers="choose scope session start",
    linux="cgroup files proc",
    records="fields folder ids spec",
    settings="known layers project tomlfile",
    systemd="commands host",
)
RUN_STANDARD = {
    *("__future__", "_json", "_signal", "collections.abc", "contextlib", "errno", "fcntl", "fnmatch", "gc", "marshal"),
    *("os", "pathlib", "pwd", "re", "select", "stat", "sys", "time"),
}
SUPERVISOR = SMALL | in_rooms(
    supervisor="cancellation cgroups command finish foreground journal main notify observe oom processes record "
    "request requests stopped_by syscalls watch"
)


def of_the_package(found: set[str]) -> set[str]:
    """The package's own modules among these, without its name."""
    return {name.removeprefix("gravscope.") for name in found if name.startswith("gravscope.")}


def loaded_by_run(folder: Path, *options: str) -> set[str]:
    """What a real `gravscope run` has loaded when it ends."""
    code = (
        f"import sys\nbefore = set(sys.modules)\nsys.path.append({str(REPOSITORY)!r})\n"
        "from gravscope.cli import status_of\n"
        f"status_of({['run', *options]!r})\n"
        "print(*set(sys.modules) - before)\n"
    )
    environ = {"PATH": path_without_systemd(), "HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    argv = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(argv, env=environ, cwd=folder, capture_output=True, text=True, check=True)
    _job_id, *found = done.stdout.split()
    return set(found)


@pytest.mark.parametrize("options", [(), ("-n", "x", "--mem-max", "1G", "--timeout", "1h", "-e", "A=1")], ids=" ".join)
def test_a_launch_loads_just_these(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A launch is as quick as what it loads; a new module on this path is a decision, and stands in the list."""
    found = loaded_by_run(tmp_path, "--launcher", "session", *options, "--", "true")
    # and what is printed to be typed, where a note says so
    extra = {"settings.env_file", "base.redact", "cli.called"} if "-e" in options else set()
    assert of_the_package(found) == RUN | extra
    standard = RUN_STANDARD | ({"functools"} if extra else set())
    assert {name for name in found if not name.startswith("gravscope")} == loaded_by(f"import {', '.join(standard)}")


def test_a_launch_names_only_these() -> None:
    """And none of these modules imports anything else at its top: what is imported later is for rare cases."""
    for module in RUN - {"cli.fast.table"}:
        top = {
            *(alias.name for node in tree_of(module).body if isinstance(node, ast.Import) for alias in node.names),
            *(str(node.module) for node in tree_of(module).body if isinstance(node, ast.ImportFrom)),
        }
        assert {name for name in top if not name.startswith("gravscope")} <= RUN_STANDARD, module


def test_the_supervisor_loads_just_these() -> None:
    """Started as it really is, it has its own rooms in memory, C modules, and what `os` itself loads."""
    found = loaded_by("import gc; import gravscope.supervisor.main")
    assert of_the_package(found) == SUPERVISOR
    assert {name for name in found if not name.startswith("gravscope")} == loaded_by(
        f"import {', '.join(C_ONLY - {'_socket'})}"  # where there is a journal
    )


def test_importing_the_command_line_does_not_start_it() -> None:
    """`import gravscope` loads the package alone; scripts that import the guard pay for that and `os`."""
    assert loaded_by("import gravscope") == {"gravscope"}
    assert loaded_by("import os, gravscope.guard") - loaded_by("import os") == {"gravscope", "gravscope.guard"}
