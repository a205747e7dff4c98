"""`gravscope pause` and `gravscope resume`."""

from __future__ import annotations

from gravscope.actions.control import pause as action
from gravscope.cli.output import print_json, public, store_here
from gravscope.records.model import JobRecord

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from gravscope.cli.options import Job, Json


def pause(job: Job, json: Json = False) -> None:
    """Let a job stand still; it keeps its memory."""
    store = store_here()
    _tell(action.pause(store, store.find(job)), json=json)


def resume(job: Job, json: Json = False) -> None:
    """Let a paused job go on."""
    store = store_here()
    _tell(action.resume(store, store.find(job)), json=json)


def _tell(record: JobRecord, *, json: bool) -> None:
    print_json(public(record)) if json else print(f"{record.id}: {'paused' if record.paused else record.state}")
