"""The hour as a list of pages: what a newcomer types, in which order, and what each page is to show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

FIT = """\
cat > fit.py <<'EOF'
import os, time

blocks = []
for step in range(1, 21):
    blocks.append(bytearray(2 * 2**20))
    print(f"{step}/20", flush=True)
    while step == 15 and not os.path.exists("data.csv"):
        time.sleep(0.1)
print("fitted", len(blocks), "galaxies")
EOF"""
NOTIFY = """\
cat > gravscope.toml <<'EOF'
[notify]
command = 'echo "$GRAVSCOPE_MESSAGE" >> ~/told.txt'
EOF"""


@dataclass(frozen=True)
class Step:
    """One thing that is typed: a line, or a line with the text of a file behind it."""

    typed: str
    # a command that stays: what the screen shows, as a regular expression, when `keys` are pressed
    shows: str = ""
    keys: Sequence[str] = ()
    # what nobody sees and what has to be so before it is typed, by the newest record
    once: Callable[[dict[str, Any]], object] | None = None


@dataclass(frozen=True)
class Page:
    """What stands on one screen in the end, with a sentence about it."""

    name: str
    about: str
    steps: Sequence[Step]


def page(name: str, about: str, *steps: Step | str) -> Page:
    """A page, most of whose steps are just lines."""
    return Page(name, about, [step if isinstance(step, Step) else Step(step) for step in steps])


def install_wheel(wheel: str) -> Page:
    """On a machine with a network: what gravscope needs comes from the package index."""
    return page(
        "install",
        "Python 3.11 or later is all it needs. It gets a virtual environment of its own.",
        "python3 -m venv .venv",
        f".venv/bin/pip install -q {wheel}",
        'export PATH="$HOME/.venv/bin:$PATH"',
        "gravscope --version",
    )


def install_checkout(folder: str) -> Page:
    """On a machine without."""
    return page(
        "install",
        "This machine has no network: gravscope is used from a checkout in which `make setup` has been typed.",
        f'export PATH="{folder}:$PATH"',
        "gravscope --version",
    )


HOUR = (
    page(
        "script",
        "A project of one's own, and a script that takes 2 MB a step and waits for its data at step 15.",
        "mkdir fit && cd fit && touch gravscope.toml",
        FIT,
        "gravscope status",
    ),
    page(
        "run",
        "It is given too little memory: it is killed, and nothing else is. `wait` has the exit status for scripts.",
        "gravscope run -n fit --mem-max 32M -- python3 fit.py",
        "gravscope wait fit",
        "echo $?",
    ),
    page("why", "What became of it, and what to type next.", "gravscope status", "gravscope show fit"),
    page(
        "rerun",
        "The same once more, with more memory.",
        "gravscope rerun fit --mem-max 128M",
        "gravscope wait fit --ready 15/20",
        "gravscope status",
        "gravscope show fit",
    ),
    page(
        "logs",
        "The data comes, and the job goes on to its end while its log is followed.",
        "touch data.csv",
        "gravscope logs -f fit",
        "gravscope status",
    ),
    page(
        "follow",
        "Another one, followed from its start. Ctrl-C ends the following, not the job.",
        "rm data.csv",
        Step("gravscope run -n again --follow -- python3 fit.py", shows="^15/20$", keys=["C-c"]),
        "gravscope status again",
        Step("gravscope logs -n 1 -f again", shows="-f again\n15/20$", keys=["C-c"]),
    ),
    page("cancel", "That is what cancel is for.", "gravscope cancel again", "gravscope show again"),
    page(
        "mistakes",
        "What goes wrong in the first hour, and what is said of it.",
        "gravscope cancle again",
        "gravscope logs agian",
        "gravscope logs",
        "gravscope run --mem-mx 1G -- python3 fit.py",
        "gravscope run -n fit --mem-max 64 -- python3 fit.py",
        "gravscope run -- pyhton3 fit.py",
        "gravscope prune",
        "gravscope rerun again --mem-max lots",
    ),
    page(
        "forgotten",
        "What was its name? `status` knows; each project has its own jobs.",
        "cd .. && gravscope status; cd fit",
        "gravscope status",
    ),
    page(
        "notify",
        "Whoever wants to be told of the end says how; here by a command.",
        NOTIFY,
        "touch data.csv",
        "gravscope run -n noted --notify -- python3 fit.py",
        "gravscope wait noted",
        Step("cat ~/told.txt", once=lambda record: record.get("notified")),
        "gravscope show noted",
    ),
    page(
        "prune",
        "Records and logs are kept until they are pruned.",
        "gravscope prune --keep 1 --dry-run",
        "gravscope prune --keep 1",
        "gravscope status",
    ),
)
# of every page, in the order in which they are played
NAMES = ("install", *(each.name for each in HOUR))
