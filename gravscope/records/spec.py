"""What a user asks for: the limits of a job, and its spec.

Sizes are bytes, durations seconds. Unknown is None, never 0. What happens to the job is in its record
(`records.model`).
"""

from __future__ import annotations

from gravscope.base.immutable import Immutable
from gravscope.base.quantity import INFINITY, Size, parse_percent, parse_size, parse_tasks, parse_weight, total_memory
from gravscope.settings.known import MEMSAFE_ENV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gravscope.records.types import LauncherChoice, OomPolicy

    Count = int

LAUNCHERS = ("auto", "scope", "session")
OOM_POLICIES = ("kill", "continue")
# The schema number of a record (`gravscope.records.model`).
SCHEMA_VERSION = 1
# The kernel's counters have 64 bits.
LARGEST = 2**64
_ENDLESS = float("inf")


def check_range(name: str, value: object, least: int, most: int) -> None:
    """Raises ValueError for a number outside the range."""
    if isinstance(value, int | float) and not least <= value <= most:
        raise ValueError(f"{name}: {value:.6g} cannot be" if abs(value) < LARGEST else f"{name}: beyond all bounds")


class Limits(Immutable):
    """What a job may use. None: nothing was asked for. Sizes in bytes, cpu_quota in percent of one core."""

    mem_high: Size | None = None
    mem_max: Size | None = None
    swap_max: Size | None = None
    cpu_quota: float | None = None
    tasks_max: Size | None = None
    cpu_weight: Count | None = None
    io_weight: Count | None = None

    # The numbers of a record do not pass through this constructor, but only through __post_init__.
    def __init__(  # noqa: PLR0913, PLR0917 (each by its name)
        self,
        mem_high: float | str | None = None,
        mem_max: float | str | None = None,
        swap_max: float | str | None = None,
        cpu_quota: float | str | None = None,
        tasks_max: int | str | None = None,
        cpu_weight: int | str | None = None,
        io_weight: int | str | None = None,
    ) -> None:
        """Also accepts what people write: "6G", "50%", "infinity". Raises UsageError for an invalid limit."""
        memory = total_memory()
        sizes = {"mem_high": mem_high, "mem_max": mem_max, "swap_max": swap_max}
        values: dict[str, object] = {
            name: size if size is None else parse_size(str(size), memory, name) for name, size in sizes.items()
        }
        values["cpu_quota"] = values["tasks_max"] = None  # a field that only the class has would not be in the JSON
        if cpu_quota in (INFINITY, _ENDLESS):  # it cancels a limit that is set elsewhere, and is in no record
            values["cpu_quota"] = _ENDLESS
        elif cpu_quota is not None:
            quota = cpu_quota if isinstance(cpu_quota, str) else f"{cpu_quota}%"
            values["cpu_quota"] = parse_percent(quota, "cpu_quota")
        if tasks_max is not None:
            values["tasks_max"] = parse_tasks(str(tasks_max), "tasks_max")
        for name, weight in (("cpu_weight", cpu_weight), ("io_weight", io_weight)):
            values[name] = weight if weight is None else parse_weight(str(weight), name)
        self.__dict__.update(values)

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that the kernel cannot have."""
        for name in ("mem_high", "mem_max", "swap_max", "tasks_max", "cpu_weight", "io_weight"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, 0, LARGEST)


class Notify(Immutable):
    """Whom to notify when a job has ended. The address is a secret: it is in no record and on no command line."""

    desktop: bool = False
    webhook: str | None = None
    command: str | None = None


class JobSpec(Immutable):
    """What was asked for. The command gets `cmd` and `env` byte for byte (after os.fsencode). With `memsafe` it also
    gets the variables of `memsafe_env` that `env` does not set."""

    cmd: list[str]
    name: str
    cwd: str
    shell: bool = False
    env: Mapping[str, str] = {}
    limits: Limits = Limits()
    launcher: LauncherChoice = "auto"
    timeout: float | None = None
    grace: float = 10.0
    oom_policy: OomPolicy = "kill"
    memsafe: bool = True
    unique: bool = False
    memsafe_env: Mapping[str, str] = MEMSAFE_ENV
    notify: Notify | None = None
    foreground: bool = False
    rerun_of: str | None = None
