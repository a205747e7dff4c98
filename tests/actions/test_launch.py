"""Launching: the record of a job of which nothing has happened yet."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from gravscope import plainjson
from gravscope.actions.launch import ADDRESS, first_facts
from gravscope.model import JobRecord
from gravscope.settings import variable_of
from gravscope.spec import JobSpec, Limits, Notify
from gravscope.stamp import stamp
from tests.support import Gravscope

PLAIN = JobSpec(cmd=["true"], name="fit", cwd="/")
FULL = JobSpec(  # noqa: S604 (nothing is run by it)
    cmd=["sh", os.fsdecode(b"\xff")],
    name="fit",
    cwd="/tmp",
    shell=True,
    env={"A": "1"},
    limits=Limits(mem_high="6G", mem_max="8G", swap_max="infinity", cpu_quota="150%", tasks_max=9, io_weight=50),
    timeout=60.0,
    grace=2.5,
    oom_policy="continue",
    memsafe=False,
    notify=Notify(desktop=True),
    rerun_of="fit_20260101_120000",
)


@pytest.mark.parametrize("spec", [PLAIN, FULL], ids=["plain", "full"])
def test_the_first_facts_are_a_record(spec: JobSpec) -> None:
    """Every field of a JobRecord, in its order, each with a value that comes back as it is; and so from the disk."""
    facts = first_facts(spec, "fit_20260101_120000", time.time(), Path("/l/fit.log"))
    assert tuple(facts) == JobRecord.__struct_fields__
    assert msgspec.to_builtins(msgspec.convert(facts, JobRecord)) == facts
    assert msgspec.json.decode(plainjson.dumps(facts), type=JobRecord) == msgspec.convert(facts, JobRecord)
    assert (facts["state"], facts["escaped"]) == ("starting", spec is FULL)


def test_what_a_spec_leaves_open_is_what_a_record_has_by_default() -> None:
    """A record that says nothing of a field means by that what a launch would have written."""
    facts = first_facts(PLAIN, "fit_20260101_120000", time.time(), Path("/l/fit.log"))
    given = {"id", "name", "state", "cmd", "cwd", "log_file", "created", "invocation_id", "boot_id", "host", "escaped"}
    least = msgspec.convert({name: facts[name] for name in given}, JobRecord)
    assert least == msgspec.convert(facts, JobRecord)


def test_a_real_record_keeps_the_order(gravscope: Gravscope) -> None:
    """What the supervisor leaves on disk reads as it was begun: who and what first, how it ended last."""
    job = gravscope.start("-n", "x", "--", "true")
    gravscope.ended(job)
    assert tuple(json.loads((gravscope.jobs_dir / f"{job}.json").read_text())) == JobRecord.__struct_fields__


def test_the_time_in_the_id_is_the_time_in_the_record() -> None:
    """One look at the clock for both."""
    now = time.time()
    created = first_facts(PLAIN, f"fit_{stamp(now)}", now, Path("/l/fit.log"))["created"]
    assert created[:19].replace("-", "").replace(":", "").replace("T", "_") == stamp(now)


def test_the_variable_of_the_address_is_the_settings() -> None:
    """It is kept from every job by the name that the settings have for it."""
    assert variable_of("notify.webhook") == ADDRESS
