"""Launching: one loop over every way to get `true` going, and many jobs from one process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial

from tests.bench.figures import Samples
from tests.bench.lab import BARE, GRAVSCOPE, PAUSE, Lab, NotHere, tool, until

SCOPE, SERVICE, SESSION = "systemd-run --user --scope -q true", "systemd-run --user -q true", "setsid nohup true"
TSP, NQ, PYTHON = "tsp true", "nq true", "python -I -S -c pass"
SUBMIT = "submit() in Python, scope"

Sample = Callable[[], float]


def run_words(launcher: str) -> str:
    """How the launch by this launcher is called in the tables."""
    return f"gravscope run --launcher {launcher} -- true"


ROWS = [
    ("run_scope", run_words("scope"), SCOPE),
    ("run_session", run_words("session"), SESSION),
    ("submit", SUBMIT, SCOPE),
]


def launching(lab: Lab) -> dict[str, Samples]:
    """How long it takes until the caller is back: the rows of the table, and `launches` with every way there is."""
    lab.fresh()
    variants: dict[str, Sample] = {run_words(one): partial(_gravscope, lab, one) for one in lab.launchers}
    with contextlib.ExitStack() as stack:
        for name, make in PEERS.items():
            try:
                variants[name] = make(lab, stack)
            except NotHere as reason:
                lab.left_out[name] = str(reason)
        found = lab.interleaved(variants, 0.28)
    rows = {
        "run_scope": (run_words("scope"), SCOPE),
        "submit": (SUBMIT, SCOPE),
        "run_session": (run_words("session"), SESSION),
    }
    measured = {}
    for key, (ours, peer) in rows.items():
        if ours in found and peer in found:
            measured[key] = {"ours": found[ours], "peer": found[peer]}
        else:
            lab.left_out[key] = lab.left_out.get(ours) or lab.left_out.get(peer) or lab.scopes
    return {"launches": found, **measured}


def _gravscope(lab: Lab, launcher: str) -> float:
    took = lab.timed([GRAVSCOPE, "run", "--launcher", launcher, "-n", "bench", "--", "true"])
    lab.quiet()
    return took


def _in_process(lab: Lab, start: Callable[[], object]) -> float:
    began = time.perf_counter()
    start()
    took = time.perf_counter() - began
    lab.quiet()
    return took


def starter(launcher: str) -> Callable[[], object]:
    """Starts `true` from this process. Raises NotHere in a version without `submit`."""
    try:
        from gravscope import submit  # noqa: PLC0415 (it may not be there)
    except ImportError:
        raise NotHere("not there yet: `from gravscope import submit` fails") from None
    return partial(submit, ["true"], name="bench", launcher=launcher)


# peers


def _submit(lab: Lab, _stack: contextlib.ExitStack) -> Sample:
    _need_scopes(lab)
    return partial(_in_process, lab, starter("scope"))


def _systemd_run(words: str, lab: Lab, _stack: contextlib.ExitStack) -> Sample:
    _need_scopes(lab)
    return partial(_peer, lab, words.split())


def _plain(words: list[str], lab: Lab, _stack: contextlib.ExitStack) -> Sample:
    tool(words[0])
    return partial(_peer, lab, words)


def _tsp(lab: Lab, stack: contextlib.ExitStack) -> Sample:
    """task-spooler, with a server of its own that is there already."""
    tool("tsp")
    folder = lab.folder / "tsp"
    folder.mkdir()
    os.environ.update(TS_SOCKET=f"{folder}/socket", TS_MAXFINISHED="10")
    lab.timed(["tsp", "true"], {"TMPDIR": str(folder)})
    stack.callback(lab.timed, ["tsp", "-K"])

    def sample() -> float:
        took = lab.timed(["tsp", "true"], {"TMPDIR": str(folder)})
        lab.timed(["tsp", "-w"])
        time.sleep(PAUSE)
        return took

    return sample


def _nq(lab: Lab, _stack: contextlib.ExitStack) -> Sample:
    """nq, in a queue that is empty: each job looks through all that were before it."""
    tool("nq")
    queue = lab.folder / "nq"
    queue.mkdir()
    os.environ["NQDIR"] = str(queue)

    def sample() -> float:
        took = lab.timed(["nq", "true"])
        lab.timed(["nq", "-w"])
        for job in queue.iterdir():
            job.unlink()
        time.sleep(PAUSE)
        return took

    return sample


def _peer(lab: Lab, words: list[str]) -> float:
    took = lab.timed(words)
    time.sleep(PAUSE)  # the user manager forgets the unit meanwhile
    return took


def _need_scopes(lab: Lab) -> None:
    if lab.scopes:
        raise NotHere(lab.scopes)


PEERS: dict[str, Callable[[Lab, contextlib.ExitStack], Sample]] = {
    SUBMIT: _submit,
    SCOPE: partial(_systemd_run, SCOPE),
    SERVICE: partial(_systemd_run, SERVICE),
    SESSION: partial(_plain, SESSION.split()),
    TSP: _tsp,
    NQ: _nq,
    PYTHON: partial(_plain, [*BARE, "-c", "pass"]),
}


# many jobs


def many(lab: Lab) -> dict[str, Samples]:
    """Trivial jobs a second, from the first start to the end of the last; beside it systemd-run, as often."""
    variants: dict[str, Sample] = {}
    for launcher in lab.launchers:
        variants[f"rate_{launcher}"] = partial(_rate, lab, starter(launcher))
    if not lab.scopes:
        variants["systemd-run"] = partial(_rate, lab, lambda: lab.timed(SCOPE.split()))
    else:
        lab.left_out["rate_scope"] = lab.scopes
    found = lab.interleaved(variants, 0.17, heavy=True)
    peer = {"peer": found["systemd-run"]} if "systemd-run" in found else {}
    return {key: {"ours": rates, **peer} for key, rates in found.items() if key != "systemd-run"}


def _rate(lab: Lab, start: Callable[[], object]) -> float:
    lab.fresh()
    began = time.perf_counter()
    for _ in range(lab.sizes.jobs):
        start()
    until(lambda: not lab.live(), "the end of the jobs")
    took = time.perf_counter() - began
    lab.quiet()
    return lab.sizes.jobs / took
