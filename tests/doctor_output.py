"""What `gravscope doctor` prints, made comparable between machines."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

DATA = Path(__file__).parent / "data"
# What every machine answers for itself, wherever the tests run: versions, disks, whether pystemd is there
MACHINES_OWN = frozenset({"systemd", "jobs-room", "log-room", "pystemd"})
# What a tier that borrows the machine's kernel leaves to it; only the guest brings its own
KERNELS_OWN = frozenset({"cgroup", "linger", "journal", "swap", "psi", "oomd", "clock"})


def masked(printed: str, left_open: Collection[str], names: Mapping[str, str]) -> str:
    """`printed` without what depends on the machine.

    The lines of checks in `left_open` keep their place and name alone (`*  NAME  ...`), and with `limits` among them
    the last line keeps only that scopes work. Elsewhere each text in `names` gives way to its name in angle brackets,
    and a version number to <VERSION>.
    """
    lines = []
    for line in printed.splitlines():
        found = re.match(r"(ok|warn|fail) +(\S+)", line)
        if found and found[2] in left_open:
            lines.append(f"*     {found[2]:<12} ...")
            continue
        shown = "Scopes work here ..." if "limits" in left_open and line.startswith("Scopes work here") else line
        for text, name in sorted(names.items(), key=lambda pair: -len(pair[0])):
            shown = shown.replace(text, f"<{name}>")
        lines.append(re.sub(r"\b\d+\.\d+\.\d+\S*", "<VERSION>", shown))
    return "\n".join([*lines, ""])


def expected(tier: str) -> str:
    """The output of a tier as it is kept."""
    return (DATA / f"doctor_{tier}.txt").read_text(encoding="utf-8")


def statuses(printed: str) -> dict[str, str]:
    """How each check stands."""
    return {found[2]: found[1] for found in re.finditer(r"^(ok|warn|fail) +(\S+)", printed, re.MULTILINE)}
