"""Whose job it is, and whose settings. Root may look at anybody's jobs, and acts on none but its own.

What root writes into a user's folder the user can no longer read, root's own manager is not the user's, and a record
that somebody else wrote names whatever process its writer likes. So the words to become that user are said instead.
"""

from __future__ import annotations

import os
import pwd

from gravscope.base.errors import RefusedError, UsageError
from gravscope.linux import files
from gravscope.settings.known import PROGRAM, SETTINGS, VARIABLES
from gravscope.settings.layers import setting_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gravscope.records.model import JobRecord
    from gravscope.records.store import Store
    from gravscope.settings.layers import Found


def look(store: Store, job_id: str) -> JobRecord:
    """The record of a job to be told, not to be acted on: root reads anybody's."""
    return store.read(job_id, anyone=True)


def is_foreign(store: Store, job_id: str) -> bool:
    """True if the record is somebody else's, whose reading of it then settles it."""
    owner = _owner(store, job_id)
    return owner is not None and owner != os.geteuid()


def refuse_foreign(store: Store, job_id: str, verb: str) -> None:
    """Raises RefusedError for root where a job is another user's, with what to type to act as that user."""
    owner = _owner(store, job_id)
    if os.geteuid() != 0 or owner in (None, 0):
        return
    try:
        name = pwd.getpwuid(owner or 0).pw_name
        become = ["runuser", "-u", name]
    except KeyError:
        name = f"user {owner}"
        become = ["setpriv", f"--reuid={owner}", "--clear-groups"]
    import shlex  # noqa: PLC0415

    words = [*become, "--", "env", f"GRAVSCOPE_JOBS_DIR={store.jobs_dir}", "gravscope", verb, job_id]
    raise RefusedError(f"{job_id} is a job of {name}'s, and root only looks at those", f"type: {shlex.join(words)}")


def refuse_variables(found: Mapping[str, Found]) -> None:
    """Raises UsageError for a variable that is set in a file of somebody else's: LD_PRELOAD and the like are programs,
    and so is the command that tells of a job's end.

    Limits and folders from there count: a colleague's project is meant to be run, and run says whose folders they are.
    """
    for key, each in found.items():
        file = each.source.file
        if file is None or SETTINGS[setting_of(key)].kind not in (VARIABLES, PROGRAM):
            continue
        try:
            owner = file.stat()
        except OSError:
            continue  # it was there a moment ago
        if not files.is_ours(owner):
            raise UsageError(
                f"{file}: is owned by user {owner.st_uid}, and its {key} is not believed",
                "make the file yours (chown), or run from another folder",
            )


def _owner(store: Store, job_id: str) -> int | None:
    try:
        return store.record_path(job_id).lstat().st_uid
    except OSError:
        return None
