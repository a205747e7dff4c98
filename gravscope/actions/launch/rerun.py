"""`gravscope rerun`: the spec of a job that has ended, once more, with changes on top.

What counts is the record: command, directory, variables and limits are as they were then, whatever is set by now.
Only what no record holds comes from today's settings: the memory-safe defaults, and where jobs and logs are kept.
"""

from __future__ import annotations

import os
import re

from gravscope.actions.launch.spec import Changes, Typed, make_spec
from gravscope.actions.look.owner import refuse_foreign
from gravscope.actions.look.settle import settled
from gravscope.base.errors import RefusedError, UsageError
from gravscope.notify.notify import SETTINGS as NOTIFY
from gravscope.records.fields import LEGACY_SCHEMA
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec, Limits
from gravscope.records.store import Store
from gravscope.settings.known import Value
from gravscope.settings.layers import Found, Source, setting_of
from gravscope.settings.project import Project

# how a byte of a command that is no UTF-8 stands in a record: but so would these four characters themselves
_LIKE_A_BYTE = re.compile(r"\\x[89a-f][0-9a-f]", re.ASCII)


def spec_of_rerun(store: Store, job_id: str, changes: Changes, project: Project) -> JobSpec:
    """What to run for `job_id` once more; of `changes`, whatever was typed counts instead of what the record has.

    Raises RefusedError where the job still lives, is somebody else's, or cannot be told for certain.
    """
    refuse_foreign(store, job_id, "rerun")
    record = settled(store, store.read(job_id))
    if record.live:
        raise RefusedError(
            f"{job_id} is still {record.state}", f"type: gravscope wait {job_id}, or gravscope cancel {job_id}"
        )
    if (doubt := doubt_about(record)) is not None:
        raise RefusedError(f"{job_id}: {doubt}", f"type: gravscope show {job_id}, and then gravscope run")
    cwd = _exact(record.cwd)
    if changes.cwd is None and not os.path.isdir(cwd):  # noqa: PTH112 (Path.is_dir raises for what is out of reach)
        raise UsageError(f"{job_id}: its directory {record.cwd} is gone", "say another one with --cwd")
    name = changes.name if changes.name is not None else record.name
    typed = Typed(**changes.as_dict()).replaced(
        command=[_exact(word) for word in record.cmd],
        shell=record.shell,
        name=name,
        cwd=changes.cwd if changes.cwd is not None else cwd,
        notify=changes.notify or record.notify,
    )
    now = project.settings_for(name)
    unrecorded = {key: now[key] for key in now if setting_of(key) in ("memsafe_env", "launcher", *NOTIFY)}
    recorded = {key: Found(value, Source()) for key, value in _as_settings(record).items()}
    return make_spec(typed, found={**unrecorded, **recorded}).replaced(rerun_of=job_id)


def doubt_about(record: JobRecord) -> str | None:
    """Why a job that has ended cannot be run again; None if it can."""
    if record.schema == LEGACY_SCHEMA:
        return "the older dispatcher recorded neither its limits nor its words for certain"
    texts = [*record.cmd, record.cwd, *record.env.values()]
    # a record from before `escaped` was there may mean either
    if record.escaped or (record.escaped is None and any(_LIKE_A_BYTE.search(text) for text in texts)):
        return "it was given bytes that are no UTF-8, which a record does not hold"
    return None


def _exact(text: str) -> str:
    """The words of a record, which are UTF-8, as this process hands them over, whatever its locale's encoding."""
    return os.fsdecode(text.encode("utf-8"))


def _as_settings(record: JobRecord) -> dict[str, Value]:
    """What the record says, by the names and in the spelling of settings."""
    found: dict[str, Value] = {f"env.{name}": _exact(value) for name, value in record.env.items()}
    limits = _asked(record.limits)
    for name, value in limits.as_dict().items():
        if value is not None:
            found[name] = f"{value}%" if name == "cpu_quota" else str(value)
    if record.timeout is not None:
        found["timeout"] = f"{record.timeout:f}"
    if record.launcher == "session" and record.fallback_reason is None:
        found["launcher"] = "session"  # that was demanded: no scope was tried
    return {**found, "grace": f"{record.grace:f}", "oom_policy": record.oom_policy, "memsafe": record.memsafe}


def _asked(limits: Limits) -> Limits:
    """Without the "no swap" that follows from a hard limit alone: with other limits it may not follow any more."""
    if limits.mem_max is not None and limits.mem_high is None and limits.swap_max == 0:
        return limits.replaced(swap_max=None)
    return limits
