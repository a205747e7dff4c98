"""A machine of files for scripts/swap_extend.sh, and stubs of the tools that it calls."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "swap_extend.sh"
STUB = Path(__file__).with_name("swap_stub.sh").read_text()
MIB = 1 << 20
HEADER = "Filename\tType\tSize\tUsed\tPriority\n"
FSTAB = "# the machine's own\nUUID=1-2 / ext4 defaults 0 1\n#/swap.img none swap sw 0 0\n"
PAGE = os.sysconf("SC_PAGESIZE")
CHANGING = ["swapon", "swapoff", "mkswap", "fallocate", "dd", "mv", "rm", "ln", "cp"]
CHANGING += ["chmod", "chattr", "sync", "mktemp"]
LOOKING = ["df", "id", "stat", "btrfs", "sudo"]


@dataclass
class Machine:
    """A machine of files: its fstab, its /proc/swaps, and a folder on its disk."""

    root: Path
    real: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A colon would cut PATH in two, and the real swapon would run.
        assert ":" not in str(self.root)
        for name in ("state", "bin", "disk"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for tool in CHANGING if self.real else CHANGING + LOOKING:
            (self.root / "bin" / tool).write_text(STUB)
            (self.root / "bin" / tool).chmod(0o755)
        self.fstab.write_text(FSTAB)
        self.swaps.write_text(HEADER)
        if not self.real:
            self.does("id", "echo 0")
            self.does("df", f"echo Avail Size; echo {100 * MIB} {200 * MIB}")

    @property
    def fstab(self) -> Path:
        return self.root / "fstab"

    @property
    def swaps(self) -> Path:
        return self.root / "swaps"

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    @property
    def file(self) -> Path:
        return self.disk / "swap.img"

    @property
    def entry(self) -> str:
        return f"{self.file} none swap sw,pri=10 0 0\n"

    def does(self, tool: str, commands: str) -> None:
        """Say what a stub does."""
        (self.root / "state" / f"do.{tool}").write_text(commands)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script, by default for FILE, with the counts of all calls starting over."""
        for path in (self.root / "state").glob("[!d]*"):
            path.unlink()
        (self.root / "state" / "totals").write_text(f"{self.total()}\n")
        values = {
            "PATH": f"{self.root / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PAGE": str(PAGE),
            "STATE": str(self.root / "state"),
            "FOLDER": str(self.root),
            "GRAVSCOPE_FSTAB": str(self.fstab),
            "GRAVSCOPE_PROC_SWAPS": str(self.swaps),
            "REAL": "env" if self.real else "",
            "FAIL": "",
            "SIGNAL": "",
        }
        command = ["sh", "-c", 'echo $$ >"$STATE/pid"; exec bash "$@"', "sh", str(SCRIPT), *arguments]
        if "-f" not in arguments:
            command += ["-f", str(self.file)]
        return subprocess.run(
            command, env=values | self.environment | environment, capture_output=True, text=True, check=False
        )

    def calls(self) -> list[str]:
        """What the last run called, in order, looks left out."""
        path = self.root / "state" / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.partition(":")[0] in CHANGING]

    def total(self) -> int:
        """How many KiB of swap are on."""
        return sum(int(line.split()[2]) for line in self.swaps.read_text().splitlines()[1:])

    def least(self) -> int:
        """How little swap there was at any moment of the last run, in KiB."""
        return min(int(line) for line in (self.root / "state" / "totals").read_text().splitlines())

    def on(self) -> list[str]:
        """Which files are on."""
        return [line.split()[0] for line in self.swaps.read_text().splitlines()[1:]]

    def leftovers(self) -> list[str]:
        """What lies on the disk beside the swap file, and is not in use."""
        beside = [path for path in self.disk.iterdir() if path != self.file and str(path) not in self.on()]
        return sorted(path.name for path in [*beside, *self.root.glob("fstab.*")])

    def reboot(self) -> None:
        """All swap goes off, and what fstab names comes on again."""
        self.swaps.write_text(HEADER)
        for line in self.fstab.read_text().splitlines():
            if line.startswith(str(self.file)):
                kib = (self.file.stat().st_size - PAGE) // 1024
                assert self.file.read_bytes()[PAGE - 10 : PAGE] == b"SWAPSPACE2"
                self.swaps.write_text(f"{HEADER}{self.file} file {kib} 0 10\n")

    def is_done(self, mib: int) -> bool:
        """Whether everything is as it should be after success."""
        return (
            self.on() == [str(self.file)]
            and self.file.stat().st_size == mib * MIB
            and self.file.stat().st_mode & 0o7777 == 0o600
            and self.fstab.read_text() == FSTAB + self.entry
            and self.leftovers() == []
        )


def grown(root: Path) -> Machine:
    """A machine that has 2 MiB of swap by this script."""
    machine = Machine(root)
    assert machine.run("-s", "2M").returncode == 0
    return machine
