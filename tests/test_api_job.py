"""What can be done to a job from Python, beyond waiting and cancelling: pause, resume, limit, rerun."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gravscope import GravscopeError, Limits, RefusedError, UnsupportedError, UsageError, submit
from gravscope.linux import proc
from tests.support import Gravscope, ManagedGravscope, until
from tests.test_api import here, in_python
from tests.webhook import Receiver, serving

__all__ = ["here"]  # for every test, as there

MIB = 2**20
COUNT = ["bash", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"]
HOG = [sys.executable, "-c", "x = b'x' * (80 << 20); print('full', flush=True); import time; time.sleep(1000)"]


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    yield from serving(Receiver())


def test_pause_and_resume() -> None:
    """A paused job stands still, its record says so, and resumed it goes on; one that has ended can do neither."""
    job = submit(COUNT)
    until(lambda: job.log(1), "a line")
    assert job.pause().paused
    pid = job.record.pid
    assert pid is not None
    found = proc.stat(pid)
    assert found is not None
    assert (found.state, job.record.paused, job.state) == ("T", True, "running")
    assert not job.resume().paused
    written = job.log()
    until(lambda: job.log() != written, "more lines")
    job.cancel()
    for verb in (job.pause, job.resume):
        with pytest.raises(RefusedError, match="has ended: cancelled"):
            verb()


def test_limit() -> None:
    """A new limit holds when it returns; one below what is used is refused unless forced; what nobody holds is said, in
    the words of Python."""
    job = submit(HOG, limits=Limits(mem_max="1G"))
    until(lambda: job.log() == "full\n", "its memory")
    assert job.limit(Limits(mem_max="2G")).limits.mem_max == 2**31
    with pytest.raises(
        RefusedError, match=r"^mem_max 50M is below the .* that .* uses now; .*; add force if "
    ) as raised:
        job.limit(Limits(mem_max="50M"))
    assert raised.value.hint is not None
    for limits, kind, said in (
        (Limits(), UsageError, "limits: there is none"),
        (Limits(mem_max=1), UsageError, "mem_max: 1 bytes"),
        (Limits(cpu_quota="infinity"), UsageError, "cpu_quota: "),
        (Limits(cpu_quota=50), UnsupportedError, "has no unit: only mem_max, which"),
    ):
        with pytest.raises(GravscopeError) as wrong:
            job.limit(limits)
        assert type(wrong.value) is kind
        assert said in str(wrong.value)
        assert "--" not in str(wrong.value)
    assert job.live
    assert len(job.record.limit_changes) == 1
    job.limit(Limits(mem_max="50M"), force=True)
    assert job.wait() == 137
    assert [change.limits.mem_max for change in job.record.limit_changes] == [2**31, 50 * MIB]
    with pytest.raises(RefusedError, match="has ended: oom-killed"):
        job.limit(Limits(mem_max="2G"))


def test_no_quota_where_one_is_set(gravscope: Gravscope) -> None:
    """Limits(cpu_quota="infinity") takes back what the project has, as --cpu-quota infinity does; so does math.inf."""
    (gravscope.folder / "gravscope.toml").write_text('cpu_quota = "50%"\n')
    quotas = [None, "infinity", float("inf"), "70%"]
    asked = [submit(["true"], limits=Limits(cpu_quota=quota)) for quota in quotas]
    assert [job.wait() for job in asked] == [0] * 4
    assert [job.record.limits.cpu_quota for job in asked] == [50.0, None, None, 70.0]


def test_rerun_with_changes(gravscope: Gravscope) -> None:
    """What is given counts, the rest is as the record has it, whatever is set by now; both records name each other."""
    words = ["sh", "-c", 'echo "$A $B $PWD"']
    first = submit(words, name="fit", env={"A": "a", "B": "b"}, cwd="/", timeout="1h", limits=Limits(mem_max="1G"))
    assert first.wait() == 0
    (gravscope.folder / "gravscope.toml").write_text('timeout = "9h"\n')
    (gravscope.folder / "variables").write_text("A=file\n")
    same = first.rerun()
    other = first.rerun(
        name="more", limits=Limits(mem_max="2G", cpu_quota=150), env={"B": "given"}, env_file=Path("variables"),
        cwd=gravscope.folder, timeout=60, grace="1s", oom_policy="continue", memsafe=False, launcher="session",
        unique=True,
    )  # fmt: skip
    assert [same.wait(), other.wait()] == [0, 0]
    assert (same.log(), other.log()) == ("a b /\n", f"file given {gravscope.folder}\n")
    assert (same.name, same.record.timeout, same.record.limits) == ("fit", 3600, first.record.limits)
    record = other.record
    assert (record.name, record.timeout, record.grace, record.oom_policy) == ("more", 60, 1, "continue")
    assert (record.memsafe, record.limits.mem_max, record.limits.cpu_quota) == (False, 2**31, 150)
    assert (same.record.rerun_of, record.rerun_of, first.record.rerun_as) == (first.id, first.id, [same.id, other.id])


def test_rerun_from_anywhere(gravscope: Gravscope, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that is in another project by now: the new job is kept where the first is, and is found there."""
    first = submit(["true"])
    first.wait()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for what in ("JOBS", "LOG"):
        monkeypatch.setenv(f"GRAVSCOPE_{what}_DIR", str(elsewhere / what))
    again = first.rerun()
    assert (again.wait(), again.log_path.parent) == (0, gravscope.log_dir)
    assert (first.record.rerun_as, again.record.warnings) == ([again.id], [])
    assert os.listdir(elsewhere) == []


def test_rerun_refuses_in_the_words_of_python(gravscope: Gravscope) -> None:
    """While it lives, where its folder is gone, and with changes that are none; nothing is left behind."""
    folder = gravscope.folder / "gone"
    folder.mkdir()
    job = submit(["sleep", "1000"], cwd=folder)
    with pytest.raises(RefusedError, match="is still running"):
        job.rerun()
    job.cancel()
    with pytest.raises(UsageError, match="timeout: 'soon'"):
        job.rerun(timeout="soon")
    with pytest.raises(UsageError, match="mem_max: 1 bytes is too little"):
        job.rerun(limits=Limits(mem_max=1))
    folder.rmdir()
    with pytest.raises(UsageError, match="say another one with cwd"):
        job.rerun()
    assert len(gravscope.records()) == 1


def test_notify_from_python(webhook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """notify=True tells once when the job has ended; a rerun of it tells again."""
    monkeypatch.setenv("GRAVSCOPE_NOTIFY_WEBHOOK", webhook.address)
    monkeypatch.setenv("no_proxy", "*")
    job = submit(["sh", "-c", "exit 7"], name="fit", notify=True)
    assert job.wait() == 7
    (told,) = until(lambda: job.record.notified, "the note")
    assert (told.channel, told.error) == ("webhook", None)
    again = job.rerun(name="again")
    until(lambda: again.record.notified, "the second note")
    assert [text.split()[1] for text in webhook.texts()] == ["fit", "again"]


def test_a_start_does_not_pay_for_them(gravscope: Gravscope) -> None:
    """What only these need is loaded when one of them is called, and not for submit, wait and cancel."""
    code = """
import sys
from gravscope import submit
job = submit(["sleep", "1000"])
job.cancel()
rare = {f"gravscope.actions.{name}" for name in ("pause", "limit", "rerun")}
print(sorted(rare & set(sys.modules)))
"""
    assert in_python(gravscope, code) == "[]\n"


# beside a user manager


def test_in_a_scope(managed: ManagedGravscope) -> None:
    """The kernel's freezer, limits of the unit, and a job run again in a scope of its own."""
    code = """
from gravscope import Limits, submit
job = submit(["sleep", "1000"], launcher="scope", limits=Limits(mem_high="1G"))
print(job.pause().paused, job.resume().paused)
record = job.limit(Limits(mem_high="2G"))
print(record.limits.mem_high >> 20, record.unit == f"gravscope-{job.id}.scope")
job.cancel()
again = job.rerun()
print(again.record.unit == f"gravscope-{again.id}.scope", again.record.limits.mem_high >> 20, again.cancel())
"""
    done = managed.manager.run([sys.executable, "-c", code], env=managed.environ, cwd=managed.folder)
    assert (done.stdout, done.stderr) == ("True False\n2048 True\nTrue 2048 cancelled\n", "")
