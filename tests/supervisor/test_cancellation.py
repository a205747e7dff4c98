"""Whether a cancel request ended the job, from the request on disk when the last process has just ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gravscope.records.outcome import KILL_GROUP, STOP_UNIT, TERM_GROUP
from gravscope.supervisor import cancellation
from gravscope.supervisor.cancellation import CancelRequest, cancel_at_end
from tests.support import PATIENCE

WHEN = "2026-01-01T12:00:00.000+00:00"
NOBODY, ONE, ONE_ANSWERS = ({"able": able, "answering": answer} for able, answer in ((0, 0), (1, 0), (1, 1)))


def request(*steps: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    """A request with these steps."""
    taken = [{"step": step, "at": WHEN, "error": None} for step in steps]
    return {"requested": WHEN, "by": "me (pid 1)", "grace": None, "steps": taken, "reached": NOBODY, **facts}


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | str], str]:
    """Writes a request beside a record and returns its path. The code under test gets a long time limit."""
    monkeypatch.setattr(cancellation, "PATIENCE", PATIENCE)

    def write(found: dict[str, Any] | str) -> str:
        beside = tmp_path / "new"
        beside.write_text(found if isinstance(found, str) else json.dumps(found))
        beside.rename(tmp_path / "x.cancel")
        return str(tmp_path / "x.cancel")

    return write


def at_the_end(path: str, *stop_signals: int, supervisor_first: bool = False) -> CancelRequest:
    """The request; there must be one."""
    found = cancel_at_end(path, list(stop_signals), supervisor_first=supervisor_first)
    assert found is not None
    return found


Put = Callable[[dict[str, Any] | str], str]


def test_no_request(tmp_path: Path) -> None:
    """Without a request file the result is None."""
    assert cancel_at_end(str(tmp_path / "x.cancel"), [], supervisor_first=False) is None


@pytest.mark.parametrize("reached", [NOBODY, ONE, ONE_ANSWERS])
def test_a_step_that_is_through(put: Put, reached: dict[str, int]) -> None:
    """A finished step has reached the processes that it names; the record gets the request without that."""
    found = at_the_end(put(request(TERM_GROUP, reached=reached)))
    assert found.steps == (TERM_GROUP,)
    assert (found.reached, found.answered) == (reached["able"] > 0, reached["answering"] > 0)
    assert set(found.record) == {"requested", "by", "grace", "steps"}


def test_a_step_that_is_being_taken_is_waited_for(put: Put) -> None:
    """The result of the step is known a little later: it reached nobody, because the job had ended by itself."""
    path = put(request(TERM_GROUP, acting=ONE_ANSWERS))
    later = threading.Timer(0.05, put, [request(TERM_GROUP, acting=None)])
    later.start()
    found = at_the_end(path)
    later.join()
    assert (found.reached, found.answered) == (False, False)


def test_the_next_step_comes_after_the_end(put: Put) -> None:
    """A step that the cancel begins after the job has ended did not end the job."""
    path = put(request(TERM_GROUP, acting=NOBODY))
    later = threading.Timer(0.05, put, [request(TERM_GROUP, KILL_GROUP, acting=ONE_ANSWERS)])
    later.start()
    found = at_the_end(path)
    later.join()
    assert (found.steps, found.reached) == ((TERM_GROUP,), False)


def test_a_cancel_that_was_killed_in_a_step(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result will never be known: in doubt the step reached the processes that it was about to signal."""
    monkeypatch.setattr(cancellation, "PATIENCE", 0.02)
    assert at_the_end(put(request(TERM_GROUP, acting=ONE_ANSWERS))).answered


def test_a_stop_job_that_has_reached_us(put: Put) -> None:
    """systemd signals the supervisor and the job at about the same time: a signal to the one means one to the other."""
    path = put(request(STOP_UNIT, acting=ONE))
    assert at_the_end(path, 15).reached
    stop_signals: list[int] = []
    later = threading.Timer(0.05, stop_signals.append, [15])
    later.start()
    found = cancel_at_end(path, stop_signals, supervisor_first=False)
    later.join()
    assert found is not None
    assert found.reached


def test_a_stop_job_that_comes_to_us_first(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the supervisor is signalled before the job, and has not been signalled yet, the job ended by itself; that is
    known at once."""
    monkeypatch.setattr(cancellation, "PATIENCE", 1e6)
    found = at_the_end(put(request(STOP_UNIT, acting=ONE_ANSWERS)), supervisor_first=True)
    assert (found.reached, found.answered) == (False, False)


def test_an_empty_request(put: Put) -> None:
    """A full disk leaves an empty file: somebody asked for the end, and in doubt that ended the job."""
    found = at_the_end(put(""))
    assert found.steps == (cancellation.UNWRITTEN,)
    assert (found.reached, found.answered, found.record["steps"]) == (True, True, [])


def test_a_request_that_says_nothing_of_whom_it_reached(put: Put) -> None:
    """An older gravscope writes such requests: in doubt the request ended the job."""
    text = request(TERM_GROUP)
    del text["reached"]
    assert at_the_end(put(text)).answered
