"""`gravscope status`: every job as it stands, in a table that fits."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest

from gravscope.actions.look.status import Standing
from gravscope.cli.output import columns
from gravscope.cli.redraw import again, fitted
from gravscope.cli.status import bar, table
from gravscope.records.model import JobRecord
from gravscope.records.progress import Progress
from gravscope.records.spec import Limits
from tests.support import Gravscope, until
from tests.terminal import screen_for

GIB = 2**30


def made(name: str, **fields: object) -> Standing:
    """A job as the table gets it."""
    record = JobRecord(
        id=f"{name}_20260101_120000",
        name=name,
        cmd=["x"],
        cwd="/",
        log_file="/l",
        created="2026-01-01T12:00:00+09:00",
        **{"state": "succeeded", "duration": 3723.0, "exit_code": 0, "peak_memory": GIB, **fields},  # type: ignore[arg-type]
    )
    return Standing(record)


@pytest.mark.parametrize("most", [20, 30, 40, 50, 60, 70, 80, 100, 132])
@pytest.mark.parametrize("name", ["a", "rep6_ab_full", "銀河の回転曲線", "x" * 100, "銀河" * 40])
def test_fits_any_width(name: str, most: int) -> None:
    """No line is wider than the terminal, the state is whole, and what is left of the id means the job."""
    limits = {"limits": Limits(mem_max=6 * GIB), "enforcement": "watch"}
    live = Standing(made(name, state="running", exit_code=None, **limits).record, 5 * GIB, Progress(0.42, eta=300))
    whole = live.record.id
    for lines in (table([live, made(name, **limits)], most).splitlines(), table([made(name)], most).splitlines()):
        for line, state in zip(lines[1:], ["running", "succeeded"][2 - len(lines[1:]) :], strict=True):
            assert columns(line) <= max(most, 27)
            assert state in line
            shown = line.split()[-1]
            assert whole.endswith(shown.lstrip("…"))
            assert len(shown.lstrip("…")) >= len("20260101_120000")
            if columns(whole) <= min(40, most - 14):
                assert shown == whole, "an id that is to be typed is whole"


def test_what_gives_way() -> None:
    """The name first, which the id says once more, then the bar, the name, times, exit status, memory."""
    jobs = [made("rep6_ab_full", limits=Limits(mem_max=4 * GIB), enforcement="watch")]
    heads = {most: table(jobs, most).splitlines()[0].split() for most in (80, 72, 68, 58, 50, 46, 38)}
    assert heads == {
        80: ["NAME", "STATE", "MEMORY", "TIME", "EXIT", "ID"],
        72: ["NAME", "STATE", "MEMORY", "TIME", "EXIT", "ID"],
        68: ["NAME", "STATE", "MEMORY", "TIME", "EXIT", "ID"],
        58: ["STATE", "MEMORY", "TIME", "EXIT", "ID"],
        50: ["STATE", "MEMORY", "EXIT", "ID"],
        46: ["STATE", "MEMORY", "ID"],
        38: ["STATE", "ID"],
    }
    assert table(jobs, 72).splitlines()[1].startswith("rep6_ab_… succeeded")


def test_memory_goes_by_the_limit_that_holds() -> None:
    """Where the watch holds --mem-max nobody holds --mem-high; where the kernel holds both, the lower one binds."""
    limits = Limits(mem_high=200 * 2**20, mem_max=300 * 2**20)
    effective = {"mem_high": 200 * 2**20, "mem_max": 300 * 2**20}
    assert made("x", limits=limits, enforcement="watch").limit == 300 * 2**20
    assert made("x", limits=limits, enforcement="watch", effective={"mem_high": None}).limit == 300 * 2**20
    assert made("x", limits=limits, enforcement="kernel", effective=effective).limit == 200 * 2**20
    assert made("x", limits=limits, enforcement="none").limit is None


def test_fits_80_columns() -> None:
    """No line is wider than 80 columns, whatever the names are, and the state is always whole."""
    jobs = [made("a"), made("x" * 100, state="never-started"), made("rep6_ab_full", limits=Limits(mem_high=6 * GIB))]
    lines = table(jobs, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "never-started" in lines[2]
    assert lines[2].endswith("_20260101_120000")
    assert all("1h02m" in line for line in lines[1:])


def test_a_table_to_the_letter() -> None:
    """Name, state, memory with a bar, time, exit, id."""
    jobs = [made("fit", state="killed", signal=11, exit_code=None, limits=Limits(mem_max=4 * GIB), enforcement="watch")]
    assert table(jobs, 80).splitlines() == [
        "NAME STATE  MEMORY       TIME  EXIT ID",
        "fit  killed 1G/4G  #.... 1h02m s11  fit_20260101_120000",
    ]


def test_bar() -> None:
    """The bar is never longer than its five cells, and empty where there is no limit."""
    gauge = [bar(used, 100) for used in (0, 10, 50, 95, 100, 300)]
    assert gauge == [".....", ".....", "##...", "#####", "#####", "#####"]
    assert bar(5, None) == bar(None, 5) == ""


def test_live_ones_on_top_newest_first(gravscope: Gravscope) -> None:
    """A job that lives stands above those that ended after it was started."""
    live = gravscope.start("-n", "live", "--", "sleep", "1000")
    older = gravscope.start("-n", "older", "--", "true")
    gravscope.ended(older)
    newer = gravscope.start("-n", "newer", "--", "true")
    gravscope.ended(newer)
    shown = [job["id"] for job in json.loads(gravscope("status", "--json").stdout)]
    assert shown[0] == live
    assert set(shown[1:]) == {older, newer}
    assert json.loads(gravscope("status", "--json").stdout)[0]["memory_now"] > 0


def test_the_last_twenty_or_all(gravscope: Gravscope) -> None:
    """Without -a the last 20 are listed, with it all of them."""
    job = gravscope.start("-n", "x", "--", "true")
    text = json.dumps(gravscope.ended(job))
    for number in range(30):
        other = f"x_20200101_0000{number:02d}"
        (gravscope.jobs_dir / f"{other}.json").write_text(text.replace(job, other))
    assert len(json.loads(gravscope("status", "--json").stdout)) == 20
    assert len(json.loads(gravscope("status", "-a", "--json").stdout)) == 31
    *lines, last = gravscope("status").stdout.splitlines()
    assert len(lines) == 21
    assert last == "20 of 31 jobs; all: gravscope status -a"
    assert "all:" not in gravscope("status", "-a").stdout + gravscope("status", job).stdout


def copies(gravscope: Gravscope, job: str, stamps: Iterable[str], name: str = "x", **changes: object) -> list[str]:
    """More records like that of a job that has ended, with other times in their ids."""
    record = {**gravscope.record(job), **changes, "name": name}
    made = [f"{name}_{stamp}" for stamp in stamps]
    for other in made:
        began = f"{datetime.strptime(other[-15:], '%Y%m%d_%H%M%S').astimezone():%Y-%m-%dT%H:%M:%S.000%z}"
        text = json.dumps({**record, "id": other, "created": began, "started": began, "boot_id": None})
        (gravscope.jobs_dir / f"{other}.json").write_text(text)
    return made


def test_what_never_started_hides_no_job(gravscope: Gravscope) -> None:
    """A command that was mistyped is known, and listed with -a and --json; it takes no place from the last 20."""
    real = gravscope.start("-n", "real", "--", "true")
    gravscope.ended(real)
    copies(gravscope, real, [f"20200101_0000{number:02d}" for number in range(24)], "real")
    wrong = [gravscope("run", "-n", f"wrong{number}", "--", "/no/such/command") for number in range(3)]
    assert {done.returncode for done in wrong} == {2}
    head, first, *others, last = gravscope("status").stdout.splitlines()
    assert head.startswith("NAME")
    assert real in first
    assert len(others) == 19
    assert last == "20 of 28 jobs (3 never started); all: gravscope status -a"
    assert gravscope("status", "-a").stdout.count("never-started") == 3
    assert len(json.loads(gravscope("status", "-a", "--json").stdout)) == 28
    assert [job["state"] for job in json.loads(gravscope("status", "--json").stdout)][:3] == ["never-started"] * 3
    assert "never-started" in gravscope("status", "wrong1").stdout


def test_where_nothing_else_is_what_never_started_is_listed(gravscope: Gravscope) -> None:
    """An empty table would tell nobody anything."""
    assert gravscope("run", "-n", "wrong", "--", "/no/such/command").returncode == 2
    lines = gravscope("status").stdout.splitlines()
    assert len(lines) == 2
    assert "never-started" in lines[1]


def test_a_bad_record_hides_no_other(gravscope: Gravscope) -> None:
    """A record that is cut, of a later schema or of the wrong types is one line on standard error, each."""
    job = gravscope.start("-n", "good", "--", "true")
    gravscope.ended(job)
    whole = (gravscope.jobs_dir / f"{job}.json").read_text()
    bad = {"cut": whole[: len(whole) // 2], "later": whole.replace('"schema": 1', '"schema": 2'), "types": "[1, 2]"}
    for name, text in bad.items():
        (gravscope.jobs_dir / f"{name}_20260101_120000.json").write_text(text)
    done = gravscope("status")
    assert done.returncode == 0
    assert job in done.stdout
    assert len(done.stderr.splitlines()) == 3
    assert "later gravscope" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_jobs_yet(gravscope: Gravscope) -> None:
    """Without any job it says where it looked; with --json it is an empty list."""
    done = gravscope("status")
    assert (done.stdout, done.stderr) == (f"no jobs yet in {gravscope.jobs_dir}\n", "")
    assert json.loads(gravscope("status", "--json").stdout) == []


def test_show_tells_the_job_in_words(gravscope: Gravscope) -> None:
    """`show` tells what was asked, what holds, what happened and why, what to type next; secrets are hidden."""
    job = gravscope.start("-n", "x", "-e", "API_TOKEN=hush", "-e", "N=5", "--timeout", "2h", "--", "sh", "-c", "exit 7")
    gravscope.ended(job)
    shown = gravscope("show", job).stdout
    for text in ("failed: exit status 7", "sh -c 'exit 7'", "N=5", "timeout 2h00m", "session of its own", "next"):
        assert text in shown
    assert "hush" not in shown + gravscope("show", "--json", job).stdout + gravscope("status", "--json").stdout
    assert gravscope.record(job)["env"]["API_TOKEN"] == "hush", "the private record has it"  # noqa: S105 (that is the point)


def test_private_files(gravscope: Gravscope) -> None:
    """Records and logs are 0600 in 0700 folders, whatever the umask."""
    job = gravscope.start("-n", "x", "--", "true")
    log = Path(gravscope.ended(job)["log_file"])
    paths = [gravscope.jobs_dir, gravscope.log_dir, gravscope.jobs_dir / f"{job}.json", log]
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o700, 0o700, 0o600, 0o600]


def test_path_and_version(gravscope: Gravscope) -> None:
    """`path` prints where a record is; --version prints the version."""
    job = gravscope.start("-n", "x", "--", "true")
    assert gravscope("path", "x").stdout.strip() == str(gravscope.jobs_dir / f"{job}.json")
    assert gravscope("--version").stdout.startswith("gravscope 0.")


@pytest.mark.slow
def test_watch_in_a_pipe(gravscope: Gravscope) -> None:
    """--watch of a named job in a pipe is a line for each change, and ends with the job."""
    mark = gravscope.folder / "go"
    job = gravscope.start("-n", "x", "--", "bash", "-c", f"until [ -e {mark} ]; do sleep 0.05; done")
    argv = [*gravscope.command, "status", "--watch", job]
    watching = subprocess.Popen(argv, env=gravscope.environ, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert watching.stdout.readline() == f"{job}: running\n"
    assert gravscope("pause", job).returncode == 0
    assert watching.stdout.readline() == f"{job}: paused\n"
    assert gravscope("resume", job).returncode == 0
    assert watching.stdout.readline() == f"{job}: running\n"
    mark.touch()
    assert watching.stdout.read() == f"{job}: succeeded\n"
    assert watching.wait() == 0


def test_watch_redraws_on_a_terminal(gravscope: Gravscope) -> None:
    """On a terminal --watch draws the table in place, and nothing of an earlier longer line stays."""
    job = gravscope.start("-n", "x", "--", "true")
    gravscope.ended(job)
    argv = " ".join([*gravscope.command, "status", "--watch", job])
    env = {**gravscope.environ, "TERM": "xterm"}
    done = subprocess.run(["script", "-qec", argv, "/dev/null"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("\x1b[KNAME STATE")
    assert done.stdout.rstrip().endswith("\x1b[J")


@pytest.mark.parametrize(
    ("drawn", "lines", "most", "written"),
    [
        ([], ["a", "b"], 80, "\x1b[Ka\n\x1b[Kb\n\x1b[J"),
        ([1, 1], ["c"], 80, "\r\x1b[2A\x1b[Kc\n\x1b[J"),
        # narrower by now: a line of 80 stands in two rows, one of 40 in one, an empty one too
        ([80, 40, 0], ["c"], 40, "\r\x1b[4A\x1b[Kc\n\x1b[J"),
    ],
)
def test_lines_are_drawn_over_those_before(drawn: list[int], lines: list[str], most: int, written: str) -> None:
    """Up by as many rows as they take now, and nothing above is touched."""
    assert again(drawn, lines, most) == written


def test_what_is_drawn_has_room() -> None:
    """The cursor's line counts; of what is too long the beginning stays, and the notes, and how much more there is."""
    body, notes = [f"{number}" for number in range(9)], ["note"]
    assert fitted(body, notes, 11) == [*body, "note"]
    assert fitted(body, notes, 10) == [*body[:7], "… 2 more: gravscope status", "note"]
    assert [len(fitted(body, notes, height)) for height in range(5)] == [1, 1, 1, 2, 3]


@pytest.mark.needs("tmux")
def test_watching_leaves_what_stood_above(gravscope: Gravscope) -> None:
    """The table is drawn below the command, again and again, also when the window changes or is too small for it; what
    was on the screen before stays, and so does the last table."""
    gravscope.ended(gravscope.start("-n", "done", "--", "true"))
    copies(gravscope, gravscope.records()[0]["id"], [f"20200101_0000{number:02d}" for number in range(12)], "old")
    live = gravscope.start("-n", "live", "--", "sleep", "1000")
    with screen_for(gravscope) as screen:
        screen.command("for n in 1 2 3; do echo before-$n; done")
        assert screen.status() == 0
        screen.command("clear -x; echo above; $G status --watch")
        screen.shows(r"^live +running")
        whole = screen.shows(r"(?s)above.*^old\S* +succeeded.*").group()
        assert whole.count("NAME ") == 1
        for most, lines in ((50, 24), (80, 10), (30, 6), (80, 24)):
            screen.resize(most, lines)
            # drawn for this width: the longest id is whole in none but the widest
            screen.shows({50: r"^STATE", 30: r"^STATE +ID", 80: r"^NAME"}[most])
            screen.shows(r"^… \d+ more: gravscope status$" if lines < 15 else r"old_20200101_000000$")
        assert gravscope("cancel", live).returncode == 0
        screen.shows(r"^live +cancelled")
        screen.keys("C-c")
        assert screen.status() == 130
        assert "above" in screen.tmux("capture-pane", "-p", "-S", "-")
        assert "before-3" in screen.tmux("capture-pane", "-p", "-S", "-")


def test_progress_stands_where_the_exit_status_will() -> None:
    """A live job that says how far it is has that and the time left in the table, which still fits 80 columns."""
    live = made("x" * 100, state="running", exit_code=None, limits=Limits(mem_max=GIB), enforcement="watch")
    jobs = [Standing(live.record, GIB, Progress(0.4299, eta=1e9)), made("y", state="never-started")]
    lines = table(jobs, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "DONE/EXIT" in lines[0]
    assert " 42% 11574d " in lines[1]
    assert " 0 " in lines[2]


def test_japanese_names_take_their_columns() -> None:
    """Wide characters count twice and combining ones not at all, so that every column begins where it should."""
    jobs = [made("銀河の回転"), made("plain"), made("か\u3099e\u0301\ufe0f")]
    head, *lines = table(jobs, 120).splitlines()
    for line in lines:
        before = line[: line.index("succeeded")]
        assert columns(before) == head.index("STATE")
    assert max(columns(line) for line in table([made("銀河" * 40)], 80).splitlines()) <= 80


def test_progress_of_a_live_job_alone(gravscope: Gravscope) -> None:
    """status and show tell it by the log while the job lives; it is no part of the record, and ends with the job."""
    said = "echo '[fit] 401/6000 | elapsed=2.5m ETA=35.5m'; echo saved a/3/4"
    job = gravscope.start("-n", "fit", "--", "bash", "-c", f"{said}; exec sleep 1000")
    until(lambda: "saved" in gravscope.log(job), "its output")
    (told,) = json.loads(gravscope("status", "--json").stdout)
    assert told["progress"] == {"fraction": 401 / 6000, "done": 401, "total": 6000, "stage": "fit", "eta": 2130.0}
    assert json.loads(gravscope("show", "--json", job).stdout)["progress"] == told["progress"]
    assert "6% 35m30s" in gravscope("status").stdout
    assert f"progress  [##{'.' * 28}] 6%  401/6000, [fit], 35m30s left\n" in gravscope("show", job).stdout
    assert "progress" not in gravscope.record(job)
    assert gravscope("cancel", job).returncode == 0
    assert json.loads(gravscope("show", "--json", job).stdout)["progress"] is None
    assert "35m30s" not in gravscope("show", job).stdout + gravscope("status").stdout


def on_terminal(gravscope: Gravscope, *words: str, **variables: str) -> str:
    """What the command line writes to a terminal."""
    argv = shlex.join([*gravscope.command, *words])
    env = {**gravscope.environ, "TERM": "xterm", **variables}
    env = {name: value for name, value in env.items() if name != "NO_COLOR" or name in variables}
    done = subprocess.run(["script", "-qec", argv, "/dev/null"], env=env, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("words", [("status",), ("show", "fit")])
def test_colour_only_on_a_terminal_that_wants_it(gravscope: Gravscope, words: tuple[str, ...]) -> None:
    """Green for what succeeded, red for what failed; nothing in a pipe, with NO_COLOR, or on a dumb terminal."""
    gravscope.ended(gravscope.start("-n", "fit", "--", "true"))
    assert "\x1b[32msucceeded" in on_terminal(gravscope, *words)
    assert "\x1b[32msucceeded" in on_terminal(gravscope, *words, NO_COLOR="")
    plain = [on_terminal(gravscope, *words, NO_COLOR="1"), on_terminal(gravscope, *words, TERM="dumb")]
    for shown in [*plain, gravscope(*words, env={"TERM": "xterm"}).stdout]:
        assert "succeeded" in shown
        assert "\x1b" not in shown
    gravscope.ended(gravscope.start("-n", "fit", "--", "false"))
    assert "\x1b[31mfailed" in on_terminal(gravscope, *words)


def test_following_tells_the_title_and_leaves_the_output_alone(gravscope: Gravscope) -> None:
    """On a terminal its title says how far the job is, and is put back, and the end is told; what the job writes is not
    touched anywhere."""
    go = gravscope.folder / "go"
    wait = f"until [ -e {go} ]; do sleep 0.05; done"
    job = gravscope.start("-n", "fit", "--", "bash", "-c", f"echo one; echo '3/9 | ETA=5m'; {wait}; echo two")
    following = subprocess.Popen(
        ["script", "-qec", shlex.join([*gravscope.command, "logs", "-f", job]), "/dev/null"],
        env={**gravscope.environ, "TERM": "xterm"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    shown = b""
    while b"\x07" not in shown:
        block = os.read(following.stdout.fileno(), 4096)
        assert block, shown
        shown += block
    go.touch()
    shown += following.stdout.read()
    assert following.wait() == 0
    assert b"\x1b[22;2t\x1b]2;33% 5m00s fit\x07" in shown
    assert shown.index(b"\x1b[23;2t") > shown.index(b"two\r\n")
    rest = re.sub(rb"\x1b\[2[23];2t|\x1b\]2;[^\x07]*\x07", b"", shown)
    assert rest.decode() == f"one\r\n3/9 | ETA=5m\r\ntwo\r\ngravscope: {job}: succeeded: exit status 0\r\n"
    done = gravscope("logs", "-f", job)
    assert (done.stdout, done.stderr) == ("one\n3/9 | ETA=5m\ntwo\n", "")
    assert "\x1b" not in on_terminal(gravscope, "logs", "-f", job), "it has ended"
