"""Keeps the record in memory and writes it to disk, the whole record each time."""

from __future__ import annotations

from gravscope.base import plainjson
from gravscope.linux import files


class Recorder:
    """Writes the record of one job. Nobody else writes it while the supervisor holds the lock."""

    def __init__(self, path: str, record: dict[str, object]) -> None:
        self.path = path
        self.record = record
        self.dirty = False
        """True while the disk would not take what is in memory; `complaint` then says why."""
        self.complaint = ""

    def update(self, **fields: object) -> None:
        """Sets fields of the record in memory; `write` puts them on disk."""
        self.record.update(fields)

    def warn(self, text: str) -> None:
        """Adds a line to the record's warnings."""
        warnings = self.record["warnings"]
        if isinstance(warnings, list) and text not in warnings:
            warnings.append(text)

    def write(self) -> bool:
        """Writes the record. False if that failed (disk full, read-only …): the job goes on; a later call may work."""
        text = plainjson.dumps(self.record) + "\n"
        try:
            # a hostile request may hold an unpaired surrogate, which UTF-8 cannot encode
            files.write_atomically(self.path, text.encode("utf-8", "replace"))
        except OSError as error:
            self.dirty, self.complaint = True, str(error.strerror)
            return False
        self.dirty = False
        return True
