"""The supervisor's pen: keeps the record in memory and puts it on disk, whole each time."""

from __future__ import annotations

from gravscope.base import plainjson
from gravscope.linux import files


class Recorder:
    """The record of one job. Nobody else writes it while its lock is ours."""

    def __init__(self, path: str, record: dict[str, object]) -> None:
        self.path = path
        self.record = record
        self.behind = False
        """True while the disk would not take what is in memory; `complaint` then says why."""
        self.complaint = ""

    def update(self, **fields: object) -> None:
        """Takes facts into the record; `write` puts them on disk."""
        self.record.update(fields)

    def warn(self, text: str) -> None:
        """Adds a line to the record's warnings."""
        warnings = self.record["warnings"]
        if isinstance(warnings, list) and text not in warnings:
            warnings.append(text)

    def write(self) -> bool:
        """False if the disk would not take it (full, read-only …): the job goes on, and the next write may do."""
        text = plainjson.dumps(self.record) + "\n"
        try:
            # half a surrogate pair, as a hostile request may hold, is no JSON, however it is spelled
            files.write_atomically(self.path, text.encode("utf-8", "replace"))
        except OSError as error:
            self.behind, self.complaint = True, str(error.strerror)
            return False
        self.behind = False
        return True
