"""Who owns a job, and who owns settings. Root may look at jobs of all users, but acts only on its own.

There are three reasons. The user could not read what root writes into the user's folder. Root's manager is not the
user's. And a record that another user wrote may name any process. So root is told the command for acting as that user.
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


def read_for_display(store: Store, job_id: str) -> JobRecord:
    """The record of a job for display, not for acting on it: root may read the records of all users."""
    return store.read(job_id, anyone=True)


def is_foreign(store: Store, job_id: str) -> bool:
    """True if another user owns the record. Then that user's commands settle it, and ours do not."""
    owner = _owner(store, job_id)
    return owner is not None and owner != os.geteuid()


def refuse_foreign(store: Store, job_id: str, verb: str) -> None:
    """Raises RefusedError if we are root and the job is another user's. The hint is the command to act as that user."""
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
    """Raises UsageError for a variable that is set in another user's file: LD_PRELOAD and the like start programs, and
    so does the command that notifies of a job's end.

    Limits and folders in such a file count: a colleague's project is meant to be run, and run says whose folders they
    are.
    """
    for key, each in found.items():
        file = each.source.file
        if file is None or SETTINGS[setting_of(key)].kind not in (VARIABLES, PROGRAM):
            continue
        try:
            owner = file.stat()
        except OSError:
            continue  # the file was removed just now
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
