"""`gravscope logs`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from gravscope.actions.look.logs import follow_log, read_log
from gravscope.actions.look.owner import read_for_display
from gravscope.base.errors import UnsupportedError, UsageError
from gravscope.cli.messages import note, one_line
from gravscope.cli.output import has_escapes, print_json, store_here
from gravscope.cli.status import in_short
from gravscope.records.clock import age
from gravscope.records.model import JobRecord
from gravscope.records.progress import TAIL, find
from gravscope.records.store import Store
from gravscope.systemd import commands, host

# seconds in which most jobs write something: before that, an empty log is nothing to tell whoever follows it
SILENT = 2.0

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from typing import Annotated

    import typer

    from gravscope.cli.options import Job


def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what is added, until the job ends.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", metavar="N", min=0, help="Only the last N lines.")
    ] = None,
    journal: Annotated[bool, typer.Option("--journal", help="Hand over to journalctl.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The log as a JSON string.")] = False,
) -> None:
    """Show a job's output."""
    store, job_id = store_here().locate(job)
    record = read_for_display(store, job_id)
    if journal:
        _hand_over(record, lines, follow=follow)
    elif follow and json:
        raise UsageError("--follow never ends a JSON text", "leave one of them away")
    elif follow:
        _follow(store, record.id, lines)
    elif json:
        text = b"".join(read_log(record, lines)).decode("utf-8", "backslashreplace")
        print_json({"id": record.id, "log_file": record.log_file, "text": text})
    else:
        shown = False
        for block in read_log(record, lines):
            sys.stdout.buffer.write(block)
            shown = True
        if not shown and lines != 0:
            _tell_empty(record)


def _tell_empty(record: JobRecord) -> None:
    """Why nothing is shown."""
    if record.state == "never-started":
        note(f"{record.id} never started, so it wrote nothing: {record.reason}")
    else:
        note(f"{record.id}: {'the log is empty so far' if record.live else 'the job wrote nothing'}")


def _follow(store: Store, job_id: str, lines: int | None) -> None:
    """Whoever sits at a terminal is told how the job ended, or that Ctrl-C has not ended it, and why nothing comes."""
    try:
        record = read_for_display(store, job_id)
        if sys.stderr.isatty() and (age(record) or 0.0) > SILENT and not any(read_log(record)):
            _tell_empty(record)
        show_growing(store, job_id, lines)
    except KeyboardInterrupt:
        if sys.stderr.isatty() and read_for_display(store, job_id).live:
            print(file=sys.stderr)  # the terminal has shown ^C
            note(f"{job_id} goes on; to end it: gravscope cancel {job_id}")
        raise
    if sys.stderr.isatty():
        record = read_for_display(store, job_id)
        note(f"{job_id}: {record.state}: {record.reason}")


def show_growing(store: Store, job_id: str, lines: int | None = None) -> None:
    """The log as it grows, byte for byte, until the job has ended; how far that is stands in the terminal's title."""
    with _title_of(read_for_display(store, job_id)) as shown:
        for block in follow_log(store, job_id, lines):
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            shown(block)


@contextmanager
def _title_of(record: JobRecord) -> Iterator[Callable[[bytes], None]]:
    """What takes a job's output and has the terminal that standard error is say in its title how far the job is.

    The title, and no line, which would stand amid the output. (OSC 2; the one before is kept and put back by XTWINOPS
    22 and 23. Whatever of this a terminal does not know it passes over.)
    """
    tail, title = b"", ""

    def show(block: bytes) -> None:
        nonlocal tail, title
        tail = (tail + block)[-TAIL:]
        found = find(tail, age(record))
        news = title if found is None else one_line(f"{in_short(found)} {record.name}")
        if news != title:
            _tell_terminal(f"\x1b]2;{news}\x07" if title else f"\x1b[22;2t\x1b]2;{news}\x07")
            title = news

    try:
        yield show if record.live and has_escapes(sys.stderr) else lambda _block: None
    finally:
        if title:
            _tell_terminal("\x1b[23;2t")


def _tell_terminal(sequence: str) -> None:
    with suppress(OSError):  # it may be gone
        sys.stderr.write(sequence)
        sys.stderr.flush()


def _hand_over(record: JobRecord, lines: int | None, *, follow: bool) -> None:
    if record.unit is None:
        raise UnsupportedError(
            f"{record.id} has no unit, so it is not in the journal", f"type: gravscope logs {record.id}"
        )
    environment = host.manager_environment(os.environ, os.geteuid())
    argv = commands.journalctl(record.unit, lines, follow)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 (it is handed the terminal on purpose)
    except OSError as error:
        raise UnsupportedError(f"{argv[0]}: {error.strerror}") from None
