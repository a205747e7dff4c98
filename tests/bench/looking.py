"""Looking: `status` in folders of many records, and the guard at the top of a script."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from functools import partial

from tests.bench.figures import Samples, spread
from tests.bench.lab import GRAVSCOPE, Broken, Lab


def status(lab: Lab) -> dict[str, Samples]:
    """Seconds of `gravscope status` beside so many live jobs, with ever more ended ones in the same folder."""
    sizes, share = lab.sizes, 0.02
    lab.fresh()
    ended = _ended_record(lab)
    try:
        _start_sleepers(lab, sizes.live)
        ask = {"plain": partial(lab.timed, [GRAVSCOPE, "status"])}
        both = lab.interleaved({**ask, "json": partial(lab.timed, [GRAVSCOPE, "status", "--json"])}, 2 * share)
        _multiply(lab, ended, 0, sizes.some)
        some = lab.interleaved(ask, share)["plain"]
        _multiply(lab, ended, sizes.some, sizes.many)
        many = lab.interleaved(ask, share)["plain"]
        _start_sleepers(lab, sizes.more_live)
        more = lab.interleaved(ask, share)["plain"]
        _check(lab)
    finally:
        lab.end_jobs()
    none = spread(both["plain"]).median
    for_ended = (spread(many).median - none) / sizes.many
    for_live = (spread(more).median - spread(many).median) / sizes.more_live
    found: dict[str, Samples] = {
        "status_json": {"ours": both["json"]},
        "status_none": {"ours": both["plain"]},
        "status_some": {"ours": some},
        "status_many": {"ours": many},
        "status_more_live": {"ours": more},
    }
    if for_live > 0:
        found["status_growth"] = {"ended": [for_ended], "live": [for_live]}
    else:
        lab.left_out["status_growth"] = f"lost in the noise: {sizes.more_live} more live jobs were told no slower"
    return found


def _ended_record(lab: Lab) -> str:
    """The text of a real record, whose id stands for all others; the record itself goes."""
    job_id = lab.start("--", "true")["id"]
    lab.quiet()
    path = lab.jobs / f"{job_id}.json"
    text = path.read_text().replace(job_id, "ID")
    path.unlink()
    return text


def _multiply(lab: Lab, record: str, first: int, last: int) -> None:
    """Writes that record under as many ids, each a second earlier than the one before."""
    newest = datetime(2026, 1, 1)
    for number in range(first, last):
        job_id = f"bench_{newest - timedelta(seconds=number):%Y%m%d_%H%M%S}"
        descriptor = os.open(lab.jobs / f"{job_id}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, record.replace("ID", job_id).encode())
        os.close(descriptor)


def _start_sleepers(lab: Lab, count: int) -> None:
    for _ in range(count):
        lab.start("--", "sleep", "1000")


def _check(lab: Lab) -> None:
    shown = lab.output([GRAVSCOPE, "status"]).count(" running ")
    if shown != len(lab.live()):
        raise Broken(f"status shows {shown} running jobs of {len(lab.live())}")


def guard(lab: Lab) -> dict[str, Samples]:
    """Seconds of a whole Python that imports the guard and passes it, and of one that does nothing."""
    code = "from gravscope.guard import require_job; require_job()"
    inside = {"GRAV_BG_JOB": "1"}
    found = lab.interleaved(
        {
            "ours": partial(lab.timed, [sys.executable, "-c", code], inside),
            "peer": partial(lab.timed, [sys.executable, "-c", "pass"], inside),
        },
        0.08,
    )
    return {"guard": found}
