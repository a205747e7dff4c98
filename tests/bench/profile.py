"""Where the time of a command goes: its imports, its system calls, and which program begins when."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.bench.lab import GRAVSCOPE, Lab, NotHere, tool
from tests.bench.parse import import_times, system_calls, timeline


def profiles(lab: Lab) -> dict[str, Any]:
    """Of `run` by each launcher, and of `status` in an empty folder: each once, after a run that warms it up."""
    lab.fresh()
    job = ["-n", "bench", "--", "true"]
    commands = {f"run --launcher {one}": ["run", "--launcher", one, *job] for one in lab.launchers}
    commands["status"] = ["status"]
    try:
        strace = tool("strace")
    except NotHere as reason:
        lab.left_out["system calls"] = str(reason)
        strace = ""
    chosen = list(commands.items())[: lab.sizes.profiled]
    return {name: _profile(lab, words, strace) for name, words in chosen}


def _profile(lab: Lab, words: list[str], strace: str) -> dict[str, Any]:
    argv = [GRAVSCOPE, *words]
    lab.timed(argv)
    lab.quiet()
    found: dict[str, Any] = {"imports": _imports(lab, argv)}
    if strace:
        count = [strace, "-f", "-c", "-w"]
        steps = [strace, "-f", "-ttt", "-s", "200", "--seccomp-bpf", "-e", "trace=execve"]
        found["calls"] = _traced(lab, count, argv, system_calls)
        found["timeline"] = _traced(lab, steps, argv, timeline)
    return found


def _imports(lab: Lab, argv: list[str]) -> dict[str, float]:
    lab.timed([sys.executable, "-X", "importtime", *argv])
    lab.quiet()
    return import_times((lab.folder / "stderr").read_text())


def _traced(lab: Lab, strace: list[str], argv: list[str], parse: Callable[[str], Any]) -> Any:  # noqa: ANN401
    file = lab.folder / "strace"
    lab.timed([*strace, "-o", str(file), *argv])
    lab.quiet()
    return parse(file.read_text())
