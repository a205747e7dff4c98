"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path

from tests.bench.parse import first_value

REPOSITORY = Path(__file__).parents[2]
# processes that want to run, for each core: with more of them the figures are of the others' work as well
BUSY = 0.3


def facts(folder: Path) -> dict[str, str]:
    """What a reader of the figures wants to know of the machine; `folder` is where the records and logs are."""
    load = os.getloadavg()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = Path("/etc/os-release")
    system = first_value(release.read_text(), "PRETTY_NAME", "=") if release.exists() else platform.system()
    packages = _said("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "task-spooler", "nq")
    return {
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "commit": _said("git", "-c", "safe.directory=*", "-C", str(REPOSITORY), "describe", "--always", "--dirty"),
        "processor": f"{os.cpu_count()} × {first_value(Path('/proc/cpuinfo').read_text(), 'model name') or 'unknown'}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{system}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "systemd": (_said("systemctl", "--version").splitlines() or ["not installed"])[0],
        "peers": ", ".join(packages.splitlines()),
        "records and logs on": _said("findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)),
        "load when it began": f"{load:.2f}" + (", busy: no figures for the documents" if is_busy(load) else ""),
    }


def is_busy(load: float) -> bool:
    """Whether others are at work here."""
    return load > BUSY * (os.cpu_count() or 1)


def _said(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except OSError:
        return ""
