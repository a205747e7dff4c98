"""What `gravscope doctor` finds out about a machine, as plain data: read by the probes, judged by `doctor_lines`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gravscope.records.spec import Limits

CgroupMode = Literal["unified", "hybrid", "v1", "none"]
Held = int | float | str | None

MIB = 2**20
# what the trial scope asks for; small, and whole pages, so that the kernel's word must be ours to the byte
ASKED = Limits(mem_high=32 * MIB, mem_max=48 * MIB, tasks_max=16, cpu_quota=50.0)
OOM_MAX = 24 * MIB
OOM_ASKED = Limits(mem_max=OOM_MAX, swap_max=0, tasks_max=16)


@dataclass(frozen=True)
class Manager:
    """The way to the user manager, and its word. `installed`: whether systemd-run is there. `trouble`: why the manager
    is not to be had; None when it answers."""

    given: str | None
    folder: str
    owner: int | None
    installed: bool
    address_given: bool
    has_bus: bool
    trouble: str | None = None
    state: str | None = None
    cgroup: str | None = None


@dataclass(frozen=True)
class Trial:
    """A scope that was really started. `trouble` is why it could not be; `held` what its cgroup says of its limits."""

    trouble: str | None
    held: Mapping[str, Held]
    unit: str | None = None


@dataclass(frozen=True)
class OomTrial:
    """A process that was to exceed its scope's limit: what became of it, and how many kills the kernel counted."""

    trouble: str | None
    status: int | None = None
    kills: int | None = None


@dataclass(frozen=True)
class Slice:
    """gravscope.slice as the user manager has it loaded: its unit file, and its limits in systemd's spelling."""

    file: str | None
    limits: Mapping[str, str]


@dataclass(frozen=True)
class Linger:
    """Whether the user's manager outlives the last logout; None with the reason where that cannot be told."""

    on: bool | None
    trouble: str | None = None


@dataclass(frozen=True)
class Journal:
    """Whether this user can read what is said in the journal about its own units."""

    there: bool
    readable: bool
    trouble: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder of gravscope's. `link_owner` is who owns the symbolic link in its place, if there is one; `nearest` is
    the folder itself, or the nearest one above that is there; `real` is where it is once all links are followed;
    `open_above` is one above it in which anybody could put another in its place."""

    path: Path
    kind: Literal["folder", "missing", "other", "out of reach"]
    nearest: Path
    can_write: bool
    link_owner: int | None = None
    owner: int | None = None
    mode: int = 0
    group_is_own: bool = False
    free: int | None = None
    free_names: int | None = None
    real: Path | None = None
    open_above: Path | None = None


@dataclass(frozen=True)
class Clock:
    """The clock: seconds since 1970 now and at boot, when this installation was written, whether it is kept right."""

    now: float
    booted: float
    installed: float
    synchronised: bool | None


@dataclass(frozen=True)
class Facts:
    """All that was found out. `program` is how gravscope is to be typed, `booted` whether systemd runs the machine,
    `unsafe_path` the parts of `path` (PATH) into which somebody else could put a program."""

    uid: int
    user: str
    program: str
    python: str
    memory: int
    systemd: str | None
    booted: bool
    manager: Manager
    cgroup: CgroupMode
    cgroup_read_only: bool
    controllers: frozenset[str] | None
    trial: Trial
    oom: OomTrial | None
    slice: Slice | None
    missing_tools: tuple[str, ...]
    linger: Linger
    journal: Journal
    swap: int
    swap_is_zram: bool
    swap_script: str | None
    pressure: bool
    killers: tuple[str, ...]
    jobs_dir: Folder
    log_dir: Folder
    clock: Clock
    pystemd: str | None
    path: str = ""
    unsafe_path: tuple[str, ...] = ()
