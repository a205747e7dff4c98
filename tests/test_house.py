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
# A room imports only what stands above it. Rooms in one row do not know each other.
ROWS = [
    ["immutable"], ["errors"], ["words"], ["ids"], ["stamp"], ["plainjson"], ["spawn"], ["progress"], ["quantity"],
    ["settings"], ["spec"], ["model"], ["proc"], ["cgroup"], ["files"], ["outcome"], ["tomlfile"], ["layers"],
    ["project"], ["older"], ["clock"], ["jobs_folder"], ["store"], ["commands"], ["host"], ["launchers"], ["bus"],
    ["supervisor", "actions"], ["guard"], ["api"], ["cli"], ["__main__"],
]  # fmt: skip
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}
SMALL = {"proc", "cgroup", "files", "outcome", "plainjson", "stamp", "supervisor"}
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


def rooms_reached(module: str) -> set[str]:
    """The rooms of the package that a module reaches; the package's own __init__ is none."""
    own = [name.split(".")[1] for name in imports(module) if name.startswith("gravscope.")]
    return {name for name in own if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}


def outside(module: str) -> set[str]:
    """The top-level names of all that a module imports from outside of the package."""
    return {name.partition(".")[0] for name in imports(module)} - {"gravscope"}


def names_called(module: str) -> set[str]:
    """Everything that a module calls, as it is written: print, sys.exit, os._exit …"""
    return {ast.unparse(node.func) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)}


MODULES = [module for module in modules() if module != ROOT_ITSELF]


def test_the_walk_sees_the_house() -> None:
    """It finds the modules that there are, and knows imports when it sees them: a blind walk would pass everything."""
    assert {"errors", "supervisor.main", "supervisor", "actions.run", "cli.app", "guard", "__main__"} <= set(MODULES)
    assert {"files", "errors", "model", "older", "words"} <= rooms_reached("store")
    assert {"cgroup", "supervisor"} <= rooms_reached("supervisor.spawn")
    assert "settle" not in rooms_reached("actions.run")
    assert {"msgspec", "heapq", "os"} <= outside("store")
    assert "print" in names_called("cli")
    assert "sys.exit" in names_called("guard")


def test_every_module_has_its_place() -> None:
    """A new module gets a row in the list above, and in the design, before it is let in."""
    assert {room_of(module) for module in MODULES} <= RANK.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    """Late imports included: none reaches down, and none reaches its neighbour."""
    room = room_of(module)
    wrong = {other for other in rooms_reached(module) if other != room and RANK[other] >= RANK[room]}
    assert not wrong


def test_the_package_itself_imports_nothing() -> None:
    """The supervisor and the guard pass through it: what it names for type checkers is not what it loads."""
    for_type_checkers = {"guard", "api", "errors", "model", "spec"}
    assert {name.split(".")[1] for name in imports(ROOT_ITSELF) if name.startswith("gravscope.")} <= for_type_checkers
    assert outside(ROOT_ITSELF) == {"importlib"}
    assert loaded_by("import gravscope") == {"gravscope"}


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) in SMALL])
def test_what_the_supervisor_uses_is_small(module: str) -> None:
    """Only C modules, os, and each other: whatever it imports stays in memory as long as a job runs."""
    assert outside(module) <= C_ONLY
    assert rooms_reached(module) <= SMALL


def test_the_outcome_imports_nothing_at_all() -> None:
    """Evidence in, outcome out: a pure function has nothing to reach for."""
    assert outside("outcome") == {"__future__"}
    assert rooms_reached("outcome") == set()
    assert not {"open", "print"} & names_called("outcome")


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
    extra = {"actions.env_file", "actions.hide", "cli.called"} if "-e" in options else set()
    assert of_the_package(found) == RUN | extra
    standard = RUN_STANDARD | ({"functools"} if extra else set())
    assert {name for name in found if not name.startswith("gravscope")} == loaded_by(f"import {', '.join(standard)}")


def test_a_launch_names_only_these() -> None:
    """And none of these modules imports anything else at its top: what is imported later is for rare cases."""
    for module in RUN - {"cli.table"}:
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
