"""What a job writes: the speed of its output into the log, and how soon a follower shows it."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

from tests.bench.figures import Samples
from tests.bench.lab import BARE, GRAVSCOPE, HERE, PATIENCE, PAUSE, Broken, Lab, NotHere, ended, go

# bytes of a disk that stay free
MARGIN = 10**9


def speed(lab: Lab) -> dict[str, Samples]:
    """Seconds that the same program takes to write the same lines, to the log of a job and to a plain file.

    It takes them itself, once its launch is over, so that this is not in them. Before each, everything is on the disk.
    """
    free, need = shutil.disk_usage(lab.folder).free, lab.sizes.output + MARGIN
    if free < need:
        raise NotHere(f"{need / 1e9:.1f} GB of free disk are needed in {lab.folder.parent}, there are {free / 1e9:.1f}")
    lab.fresh()
    variants = {launcher: partial(_to_log, lab, launcher) for launcher in lab.launchers}
    found = lab.interleaved({**variants, "nohup": partial(_to_file, lab)}, 0.25, heavy=True)
    if lab.scopes:
        lab.left_out["output_scope"] = lab.scopes
    return {f"output_{one}": {"ours": found[one], "peer": found["nohup"]} for one in lab.launchers}


def _writer(lab: Lab, report: Path) -> tuple[list[str], Path]:
    """The program, and the FIFO at which it waits."""
    report.unlink(missing_ok=True)
    fifo = lab.fifo("write")
    os.sync()
    return [*BARE, str(HERE / "writer.py"), str(lab.sizes.output), str(report), str(fifo)], fifo


def _to_log(lab: Lab, launcher: str) -> float:
    report = lab.folder / "written"
    words, fifo = _writer(lab, report)
    record = lab.start("--launcher", launcher, "--", *words)
    time.sleep(PAUSE)
    go(fifo)
    lab.quiet()
    log = Path(record["log_file"])
    if not report.exists() or log.stat().st_size != lab.sizes.output:
        raise Broken(f"{record['id']}: its log is not what it wrote: {lab.record(record['id'])['reason']}")
    log.unlink()
    return float(report.read_text())


def _to_file(lab: Lab) -> float:
    report, file = lab.folder / "written", lab.folder / "nohup.out"
    words, fifo = _writer(lab, report)
    pid = lab.spawn(["sh", "-c", f"exec {shlex.join(['nohup', *words])} > {shlex.quote(str(file))}"])
    time.sleep(PAUSE)
    go(fifo)
    if ended(pid) != 0:
        raise Broken(f"nohup: {lab.complaint()}")
    time.sleep(PAUSE)
    file.unlink()
    return float(report.read_text())


def follower(lab: Lab) -> dict[str, Samples]:
    """Seconds from a job's writing of a line to our reading it from `logs -f`, by a pipe and by a terminal."""
    lab.fresh()
    fifo = lab.fifo("tick")
    record = lab.start("--", *BARE, str(HERE / "ticker.py"), str(lab.sizes.lines), str(fifo))
    argv = [GRAVSCOPE, "logs", "-f", record["id"]]
    reading, writing = os.pipe()
    ours, theirs = pty.openpty()
    followers = [
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        for out in (writing, theirs)
    ]
    os.close(writing)
    os.close(theirs)
    try:
        _latencies([reading, ours], 1)  # both follow
        go(fifo)
        pipe, terminal = _latencies([reading, ours], lab.sizes.lines)
    finally:
        for one in followers:
            one.kill()
            one.wait()
        os.close(reading)
        os.close(ours)
    lab.quiet()
    return {"follow": {"ours": pipe}, "follow_terminal": {"ours": terminal}}


def _latencies(descriptors: list[int], count: int) -> list[list[float]]:
    """How late so many lines came, for each descriptor."""
    found: list[list[float]] = [[] for _ in descriptors]
    rest = [b""] * len(descriptors)
    # one that has shown them all may have ended, and is not asked again
    while waiting := [each for each, latencies in zip(descriptors, found, strict=True) if len(latencies) < count]:
        ready = select.select(waiting, [], [], PATIENCE)[0]
        now = time.monotonic_ns()
        if not ready:
            raise Broken("the follower shows nothing")
        for descriptor in ready:
            which = descriptors.index(descriptor)
            *lines, rest[which] = (rest[which] + _read(descriptor)).split(b"\n")
            found[which] += [(now - int(line)) / 1e9 for line in lines]
    return found


def _read(descriptor: int) -> bytes:
    try:
        block = os.read(descriptor, 65536)
    except OSError:  # EIO: the other side of the terminal was closed
        block = b""
    if not block:
        raise Broken("the follower ended before the job did")
    return block
