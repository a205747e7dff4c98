"""The private user manager is a real one, and leaves the machine as it was."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support import alive, until

from .manager import CHECKOUT, TEST_UID, TEST_USER, UserManager, cgroup2_mount, private_manager

HERE = Path(__file__).resolve().parent
WHERE = "echo $(sed -n s,^0::,,p /proc/self/cgroup) $HOME $(readlink /proc/self/ns/mnt)"
SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes")

needs_private = pytest.mark.needs("private")


def tmpfs_mounts() -> set[str]:
    """The memory file systems that this process sees; those of a private manager must not be among them."""
    return {line for line in Path("/proc/self/mounts").read_text().splitlines() if line.startswith("tmpfs ")}


def in_namespace(namespace: str) -> list[str]:
    """The processes that live in a mount namespace."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((process / "ns/mnt").readlink()) == namespace:
                found.append(process.name)
    return found


def nothing_left(cgroup: str, home: str, namespace: str) -> bool:
    """Are the cgroup of a run, its folder and every process in its mount namespace gone?"""
    top = cgroup2_mount() / Path(cgroup).parts[1]
    assert top.name.startswith("gravscope-test-")
    return not (top.exists() or Path(home).exists() or in_namespace(namespace))


def test_a_scope_is_real_and_delegated(user_manager: UserManager) -> None:
    """A command under `systemd-run --user --scope` runs as the user in a cgroup that it may divide."""
    script = "id -un; cg=$(sed -n s,^0::,,p /proc/self/cgroup); echo $cg; mkdir $1$cg/job && rmdir $1$cg/job"
    done = user_manager.run([*SCOPE, "sh", "-c", script, "sh", cgroup2_mount()])
    assert done.returncode == 0, done.stderr
    name, cgroup = done.stdout.split()
    assert name == user_manager.user
    assert cgroup.endswith(".scope")
    assert (cgroup2_mount() / cgroup.lstrip("/")).is_relative_to(user_manager.cgroup_root)


def test_stop_ends_all_of_a_scope(user_manager: UserManager) -> None:
    """`systemctl --user stop` ends what runs in the scope, also a child that left its session."""
    unit = f"stopped-{os.getpid()}.scope"
    script = "setsid sleep 1000 & echo $!; exec sleep 1000"
    process = user_manager.popen([*SCOPE, f"--unit={unit}", "sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        until(lambda: os.getsid(child) == child, "the child has left its session")
        procs = (user_manager.cgroup_of(unit) / "cgroup.procs").read_text().split()
        assert {str(child), str(process.pid)} <= set(procs)
        stopped = user_manager.run(["systemctl", "--user", "stop", unit])
        assert stopped.returncode == 0, stopped.stderr
        assert process.wait(60) == -signal.SIGTERM
        until(lambda: not alive(child), "the child in a session of its own ended")
    finally:
        process.kill()
        process.communicate()


def test_the_user_runs_this_python_and_reads_the_checkout(user_manager: UserManager) -> None:
    """The ordinary user can run the tests' own Python and import from the checkout, wherever both stand."""
    code = "import pytest, sys; from tests.private_manager import manager as m; print(m.__file__, sys.prefix)"
    done = user_manager.run([sys.executable, "-B", "-c", code], cwd=CHECKOUT)
    assert done.stdout.split() == [str(HERE / "manager.py"), sys.prefix], done.stderr


def test_a_command_without_the_bus_variables(user_manager: UserManager) -> None:
    """Without its variables a command sees no bus, as under cron, and everything else is the same."""
    names = "echo ${XDG_RUNTIME_DIR-unset} ${DBUS_SESSION_BUS_ADDRESS-unset} $HOME $MORE"
    command = ["sh", "-c", names]
    bare = user_manager.without_bus_env().run(command, env={"MORE": "more"})
    assert bare.stdout.split() == ["unset", "unset", str(user_manager.home), "more"]
    shown = user_manager.run(command, env={"HOME": None}).stdout.split()
    assert shown == [str(user_manager.runtime_dir), f"unix:path={user_manager.runtime_dir}/bus"]


def test_input_cwd_and_exit_status(user_manager: UserManager) -> None:
    """Standard input, the working folder and the exit status are the command's own."""
    folder = user_manager.new_folder()
    done = user_manager.run(["sh", "-c", "cat; pwd; touch made; exit 7"], cwd=folder, input="given\n")
    assert (done.returncode, done.stdout.split()) == (7, ["given", str(folder)])
    assert (folder / "made").stat().st_uid == user_manager.uid


def where(manager: UserManager) -> list[str]:
    """The cgroup, the folder and the mount namespace of a manager, for `nothing_left`."""
    return manager.run(["sh", "-c", WHERE]).stdout.split()


@needs_private
def test_two_managers_at_once_and_nothing_left() -> None:
    """Two private managers do not see each other's units, and leave no process, cgroup, mount or folder."""
    show = ["systemctl", "--user", "list-units", "--no-legend", "--plain", "twin-*"]
    mounts = tmpfs_mounts()
    with private_manager() as one, private_manager() as two:
        twins = {"twin-one.scope": one, "twin-two.scope": two}
        command = ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"]
        sleepers = [manager.popen([*SCOPE, f"--unit={unit}", *command]) for unit, manager in twins.items()]
        for unit, manager in twins.items():
            until(lambda: manager.run(show).stdout, unit)  # noqa: B023 - called at once
            assert [line.split()[0] for line in manager.run(show).stdout.splitlines()] == [unit]
        places = [where(one), where(two)]
        assert all(here != there for here, there in zip(*places, strict=True))
        assert not any(nothing_left(*place) for place in places)
    for sleeper in sleepers:
        assert sleeper.wait(60) == -signal.SIGKILL
    for place in places:
        until(partial(nothing_left, *place), f"nothing left of {place}")
    assert tmpfs_mounts() <= mounts


@needs_private
def test_nothing_left_when_the_tests_are_killed() -> None:
    """Even when the one who asked for the manager is killed outright, it and its cgroup go."""
    command = [sys.executable, str(HERE / "with-user-manager"), "sh", "-c", f"{WHERE}; exec sleep 1000"]
    asker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    try:
        place = asker.stdout.readline().split()
        assert not nothing_left(*place)
    finally:
        asker.kill()
        asker.communicate()
    until(partial(nothing_left, *place), f"nothing left of {place}")


@needs_private
def test_a_closed_checkout_is_opened_for_the_user(tmp_path: Path) -> None:
    """A checkout in closed folders, reached by a link, is readable beside the manager and nowhere else."""
    real = tmp_path / "closed" / "checkout"
    copy = real / "tests" / "private_manager"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "closed" / "secret").touch()
    link = tmp_path / "link"
    link.symlink_to("closed/checkout")
    for folder in (tmp_path, tmp_path / "closed", real):
        folder.chmod(0o700)
    command = [str(link / "tests" / "private_manager" / "with-user-manager"), "sh", "-c"]
    script = f"id -un; head -c 3 {copy}/manager.py; ls {tmp_path} {tmp_path}/closed"
    done = subprocess.run([*command, script], capture_output=True, text=True, cwd=link, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'{TEST_USER}\n"""')
    assert "secret" not in done.stdout
    as_user = ["setpriv", f"--reuid={TEST_UID}", "--clear-groups", "ls"]
    assert subprocess.run([*as_user, real], capture_output=True, check=False).returncode != 0
