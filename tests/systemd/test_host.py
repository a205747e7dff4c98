"""What this machine can do: reaching the user manager, calling tools, finding a job's processes."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_subprocess import FakeProcess

from gravscope.base.errors import UnsupportedError
from gravscope.linux import proc
from gravscope.systemd import host
from tests.support import alive, until

UID = os.geteuid()
OTHER = UID + 1


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH with systemd-run in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "systemd-run").write_text("#!/bin/sh\n")
    (folder / "systemd-run").chmod(0o755)
    return str(folder)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes runtime folders with a bus socket, which os.stat shows as owned by `UID` or the given user."""
    sockets: list[socket.socket] = []
    owners: dict[str, int] = {}
    real = os.stat

    def stat(path: str | int, **options: object) -> os.stat_result:
        found = real(path, **options)  # type: ignore[arg-type]
        owner = owners.get(str(path))
        return found if owner is None else os.stat_result((*found[:4], owner, *found[5:]))

    def make(name: str, owner: int = UID) -> str:
        folder = tmp_path / name
        folder.mkdir()
        bus = socket.socket(socket.AF_UNIX)
        sockets.append(bus)
        monkeypatch.chdir(folder)  # a socket's address has at most 107 bytes
        bus.bind("bus")
        owners[str(folder)] = owner
        return str(folder)

    monkeypatch.setattr(os, "stat", stat)
    yield make
    for bus in sockets:
        bus.close()


def derived(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Makes `folder` stand for /run/user/UID."""
    real_owned, real_socket, real_isdir = host._owned, host._is_socket, os.path.isdir

    def there(path: str) -> str:
        return path.replace(f"/run/user/{UID}", folder)

    monkeypatch.setattr(host, "_owned", lambda path, uid: real_owned(there(path), uid))
    monkeypatch.setattr(host, "_is_socket", lambda path: real_socket(there(path)))
    monkeypatch.setattr(os.path, "isdir", lambda path: real_isdir(there(str(path))))


def test_what_is_set_and_ours_is_taken(tools: str, runtime: Callable[..., str]) -> None:
    """In a login session both variables are right and are not changed."""
    folder = runtime("mine")
    environ = {
        "PATH": tools,
        "XDG_RUNTIME_DIR": folder,
        "DBUS_SESSION_BUS_ADDRESS": "unix:abstract=/tmp/x",
        "A": "1",
    }
    assert host.manager_environment(environ, UID) == environ


def test_an_unset_address_is_derived(tools: str, runtime: Callable[..., str]) -> None:
    """It becomes the bus in our own runtime folder."""
    folder = runtime("mine")
    found = host.manager_environment({"PATH": tools, "XDG_RUNTIME_DIR": folder}, UID)
    assert found["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path={folder}/bus"


@pytest.mark.parametrize("given", [None, ""])
def test_cron_and_sudo_leave_it_unset(
    tools: str, runtime: Callable[..., str], monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """Trap 1: if they are unset or empty, the folder is /run/user/UID, and the bus is the one in it."""
    derived(monkeypatch, runtime("mine"))
    environ = {"PATH": tools} if given is None else {"PATH": tools, "XDG_RUNTIME_DIR": given}
    assert host.manager_environment(environ, UID) == {
        "PATH": tools,
        "XDG_RUNTIME_DIR": f"/run/user/{UID}",
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{UID}/bus",
    }


def test_su_leaves_another_users(tools: str, runtime: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 2: another user's folder is replaced by our own, and so is the address of a bus in it."""
    derived(monkeypatch, runtime("mine"))
    theirs = runtime("theirs", OTHER)
    address = f"unix:path={theirs}/bus"
    environ = {"PATH": tools, "XDG_RUNTIME_DIR": theirs, "DBUS_SESSION_BUS_ADDRESS": address}
    found = host.manager_environment(environ, UID)
    assert found["XDG_RUNTIME_DIR"] == f"/run/user/{UID}"
    assert found["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path=/run/user/{UID}/bus"


def test_a_folder_that_belongs_to_another(
    tools: str, runtime: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 2: it is not used, even in place of our own; the message says what is wrong with it."""
    derived(monkeypatch, runtime("theirs", OTHER))
    with pytest.raises(UnsupportedError) as refused:
        host.manager_environment({"PATH": tools}, UID)
    assert refused.value.message == f"no user manager: its folder /run/user/{UID} belongs to another user"


@pytest.mark.parametrize("given", [None, "gone", "file"])
def test_a_folder_that_is_not_there(
    tools: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """Trap 1: the message says which folder is missing, and how to get it."""
    (tmp_path / "file").touch()
    derived(monkeypatch, str(tmp_path / "gone"))
    environ = {"PATH": tools} if given is None else {"PATH": tools, "XDG_RUNTIME_DIR": str(tmp_path / given)}
    with pytest.raises(UnsupportedError) as refused:
        host.manager_environment(environ, UID)
    assert refused.value.message == f"no user manager: its folder /run/user/{UID} is not there"
    assert refused.value.hint == "log in, or type: loginctl enable-linger"


def test_a_folder_without_a_bus(tools: str, tmp_path: Path) -> None:
    """Trap 1: the message names the path of a bus that is missing or is not a socket."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for _ in range(2):
        with pytest.raises(UnsupportedError, match=f"there is no bus at {folder}/bus; is dbus-user-session installed"):
            host.manager_environment({"PATH": tools, "XDG_RUNTIME_DIR": str(folder)}, UID)
        (folder / "bus").touch()


def test_without_systemd_run(tmp_path: Path, runtime: Callable[..., str]) -> None:
    """Trap 5: without systemd, or with an empty PATH, the message says that systemd-run is missing."""
    for path in (str(tmp_path), ""):
        with pytest.raises(UnsupportedError, match=r"^systemd-run is not installed$"):
            host.manager_environment({"PATH": path, "XDG_RUNTIME_DIR": runtime(f"mine{len(path)}")}, UID)


def test_a_tool_that_went_well(fp: FakeProcess) -> None:
    """Its exit status and output; there is no complaint."""
    fp.register(["systemctl", "--user", "is-system-running"], stdout="running\n")
    done = host.call(["systemctl", "--user", "is-system-running"], {})
    assert (done.status, done.out, done.complaint) == (0, "running\n", None)


@pytest.mark.parametrize(
    ("status", "err", "complaint"),
    [
        (1, "Failed to connect to bus: No medium found\n", "exit status 1: Failed to connect to bus: No medium found"),
        (4, "warning\n\n  Unit x.scope not loaded.  \n\n", "exit status 4: Unit x.scope not loaded."),
        (3, "", "exit status 3"),
        (5, " \n", "exit status 5"),
    ],
)
def test_a_tool_that_failed(fp: FakeProcess, status: int, err: str, complaint: str) -> None:
    """The reason in one line: its exit status and its last line of error output."""
    fp.register(["systemctl", "stop"], returncode=status, stderr=err)
    assert host.call(["systemctl", "stop"], {}).complaint == complaint


def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    """Status 127 and its name, as in a shell; the same for a file that cannot be executed."""
    done = host.call(["no-such-tool-here"], {"PATH": str(tmp_path)})
    assert (done.status, done.err) == (127, f"no-such-tool-here: {os.strerror(errno.ENOENT)}")
    (tmp_path / "text").write_text("x")
    assert host.call([str(tmp_path / "text")], {}).complaint == f"exit status 127: {tmp_path}/text: Permission denied"


def test_a_tool_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Status 124 after the time limit, and its process is gone."""
    pid_file = tmp_path / "pid"
    done = host.call(["/bin/sh", "-c", f"echo $$ >{pid_file}; exec sleep 600"], os.environ, patience=0.5)
    assert (done.status, done.err) == (124, "/bin/sh did not answer within 0.5 s")
    if pid_file.exists() and (text := pid_file.read_text().strip()):
        until(lambda: not alive(int(text)), "the end of it")


def test_patience_without_end() -> None:
    """A grace period of a month or more exceeds what poll(2) can wait, and must not make the call fail."""
    assert host.call(["true"], os.environ, patience=30 * 86400.0).status == 0
    assert host.call(["true"], os.environ, patience=1e300).status == 0


def test_output_that_is_no_text_is_replaced() -> None:
    """Bytes that are not UTF-8 do not make the call fail; the rest of the text is kept."""
    code = r"import os, sys; os.write(1, b'a\xff\xfe\n'); os.write(2, b'\x80 no\n'); sys.exit(3)"
    done = host.call([sys.executable, "-c", code], {"PYTHONUTF8": "1"})
    assert (done.status, done.out[0], done.complaint is None) == (3, "a", False)
    assert str(done.complaint).endswith(" no")


def test_a_tool_gets_the_environment_and_no_input() -> None:
    """Only the variables that it was given, and an empty standard input, so that it cannot ask questions."""
    done = host.call([sys.executable, "-c", "import os, sys; print(os.environ.get('A'), sys.stdin.read())"], {"A": "1"})
    assert done.out == "1 \n"
    assert "HOME" not in host.call(["/usr/bin/env"], {"A": "1"}).out


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes with given environments; they and their children are killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str = "print('up', flush=True); input()", **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_job_is_found_by_its_environment(sleeper: Callable[..., subprocess.Popen[str]]) -> None:
    """Finds its own processes, and none with a similar id, or with the id elsewhere in the environment."""
    job_id = f"t{os.getpid()}_20260101_120000"
    ours = [sleeper(GRAVSCOPE_INVOCATION_ID=job_id), sleeper(A="1", GRAVSCOPE_INVOCATION_ID=job_id, Z="2")]
    sleeper(GRAVSCOPE_INVOCATION_ID=f"{job_id}_2")
    sleeper(GRAVSCOPE_INVOCATION_ID=f"x{job_id}")
    sleeper(OTHER=f"GRAVSCOPE_INVOCATION_ID={job_id}")
    sleeper(XGRAVSCOPE_INVOCATION_ID=job_id)
    assert {found.pid for found in host.members(job_id)} == {process.pid for process in ours}
    for found in host.members(job_id):
        assert proc.is_process(found.pid, found.start_ticks)


def test_a_zombie_of_the_job_is_none_of_its_members(sleeper: Callable[..., subprocess.Popen[str]]) -> None:
    """A process that has ended is not a member, even if it has not been waited for."""
    job_id = f"z{os.getpid()}_20260101_120000"
    process = sleeper(GRAVSCOPE_INVOCATION_ID=job_id)
    assert len(host.members(job_id)) == 1
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert host.members(job_id) == []


def test_a_roll_tells_only_what_is_new(sleeper: Callable[..., subprocess.Popen[str]]) -> None:
    """Each member is reported once; processes that start later are reported by the next call."""
    job_id = f"r{os.getpid()}_20260101_120000"
    first = sleeper(GRAVSCOPE_INVOCATION_ID=job_id)
    scan = host.ProcessScan(job_id)
    assert [found.pid for found in scan.new()] == [first.pid]
    assert list(scan.new()) == []
    second = sleeper(GRAVSCOPE_INVOCATION_ID=job_id)
    assert [found.pid for found in scan.new()] == [second.pid]


def test_one_that_is_just_being_execd(monkeypatch: pytest.MonkeyPatch) -> None:
    """During exec a process has no environment for a short time, so it is read again; one that never has any is not."""
    ours, empty = (subprocess.Popen(["sleep", "1000"], env={}) for _ in range(2))
    real = proc.read_text
    looks: list[str] = []

    def read_text(path: str) -> str | None:
        """At the first read the process has just got its new memory."""
        text = real(path)
        if path == f"/proc/{ours.pid}/environ":
            looks.append(path)
            return "GRAVSCOPE_INVOCATION_ID=abc\0" if len(looks) > 1 else ""
        if path == f"/proc/{ours.pid}/stat" and len(looks) == 1 and text is not None:
            left, _, right = text.rpartition(")")
            fields = right.split()
            fields[47:49] = ["0", "0"]
            return f"{left}) {' '.join(fields)}"
        return text

    try:
        until(lambda: not proc.stat(empty.pid).execing, "its exec")  # type: ignore[union-attr]
        monkeypatch.setattr(proc, "read_text", read_text)
        assert [found.pid for found in host.members("abc")] == [ours.pid]
        scan = host.ProcessScan("another")
        assert list(scan.new()) == []
        assert empty.pid not in scan.in_exec
    finally:
        for process in (ours, empty):
            process.kill()
            process.wait()


def test_nobody_is_found_only_after_a_quiet_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was forked during a scan is found by the next scan."""
    stats = [proc.stat(os.getpid())]
    looks = iter([[], [], stats])
    numbers = iter([1, 2, 2, 3, 3, 3])
    monkeypatch.setattr(host.ProcessScan, "new", lambda _self: iter(next(looks)))
    monkeypatch.setattr(proc, "last_pid", lambda: next(numbers))
    assert host.members("x") == stats


@pytest.mark.parametrize(
    ("there", "warned"),
    [
        (set(), False),
        ({"/run/systemd/users/{uid}"}, True),
        ({"/run/systemd/users/{uid}", "/var/lib/systemd/linger/{name}"}, False),
    ],
)
def test_linger(monkeypatch: pytest.MonkeyPatch, there: set[str], warned: bool) -> None:
    """A user whom logind manages and who has no linger gets the warning; a user unknown to logind does not."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    paths = {path.format(uid=os.geteuid(), name=name) for path in there}
    monkeypatch.setattr(os.path, "exists", lambda path: path in paths)
    warning = host.linger_warning(os.geteuid())
    assert (warning is not None) is warned
    assert warning is None or "loginctl enable-linger" in warning


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid without an entry in the password file is not an error."""
    monkeypatch.setattr(os.path, "exists", lambda path: path.startswith("/run/systemd/users/"))
    assert host.linger_warning(2**31 - 7) is None
