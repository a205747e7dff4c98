"""Plays the hour in a real tmux, and tells what the terminal shows at the end of every page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.newcomer.mask import COLUMNS, Mask
from tests.newcomer.tour import HOUR, Page, Step
from tests.support import Gravscope, until
from tests.terminal import Screen

LINES = 30
PROMPT = "$"


class Newcomer(Gravscope):
    """Somebody with an empty home and no settings, who has made a project in `fit`."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        super().__init__(home)
        theirs = {name: value for name, value in environ.items() if not name.startswith(("XDG_CONFIG", "XDG_STATE"))}
        self.environ = {**theirs, "HOME": str(home)}
        self.jobs_dir = home / "fit" / "tmp" / "jobs"

    def newest(self) -> dict[str, Any]:
        """The newest record."""
        return max(self.records(), key=lambda record: str(record["created"]))


class Player(Screen):
    """Their terminal, whose prompt is `$ `. The shell tells beside it how many prompts there have been."""

    patience = 120.0

    def __init__(self, newcomer: Newcomer, beside: Path) -> None:
        self.newcomer = newcomer
        self.prompts = beside / "prompts"
        environ = {"PS1": f"{PROMPT} ", "PS2": "> ", "PROMPT_COMMAND": f"echo $? >>{self.prompts}"}
        super().__init__(newcomer, (COLUMNS, LINES), environ)

    def status(self) -> int:
        """Waits until the shell asks for the next command; the exit status of the last one."""
        try:
            return int(until(self._prompt, f"prompt number {self.number}", patience=self.patience)[-1])
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen shows\n{self.everything()}") from None

    def _prompt(self) -> list[str]:
        told = self.prompts.read_text().split() if self.prompts.exists() else []
        shown = self.text().rstrip().splitlines()
        return told if len(told) == self.number and shown and shown[-1] == PROMPT else []

    def play(self, page: Page) -> str:
        """Types the page on an empty screen; all that then stands there, with each line whole."""
        self.keys("C-l")
        until(lambda: self.text().strip() == PROMPT, "an empty screen", patience=self.patience)
        self.tmux("clear-history")
        for step in page.steps:
            self._take(step)
        return self.everything()

    def everything(self) -> str:
        """The screen, and what has left it at its top."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-")

    def _take(self, step: Step) -> None:
        if step.once is not None:
            until(lambda: step.once(self.newcomer.newest()), f"what {step.typed!r} is to find", patience=self.patience)
        first, *others = step.typed.splitlines()
        self.command(first)
        for line in others:  # of a file: there is no prompt in between
            self.tmux("send-keys", "-l", line)
            self.tmux("send-keys", "Enter")
        if step.shows:
            self.shows(step.shows)
            self.keys(*step.keys)
        self.status()


class Hour:
    """The pages as they are asked for; those before them are played first."""

    def __init__(self, newcomer: Newcomer, install: Page, beside: Path) -> None:
        self.newcomer = newcomer
        self.player = Player(newcomer, beside)
        self.mask = Mask({str(newcomer.folder): "/home/you"})
        self.shown: dict[str, str] = {}
        self._played = self._play([install, *HOUR])

    def page(self, name: str) -> str:
        """What its file is to hold."""
        while name not in self.shown:
            assert next(self._played, None) is not None, "an earlier page could not be played to its end"
        return self.shown[name]

    def _play(self, pages: Sequence[Page]) -> Iterator[str]:
        for page in pages:
            self.shown[page.name] = f"# {page.about}\n\n{self.mask(self.player.play(page))}"
            yield page.name

    def end(self) -> None:
        """Ends the terminal, and every job that is left."""
        self.player.tmux("kill-server")
        self.newcomer.clean_up()
