"""Started from places that have no login session, or another user's: it works, or says exactly what is missing."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import until

from .conftest import OpenSession, user_manager_runs
from .helpers import GuestGravscope, command

BUS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def uid_of(user: str) -> int:
    """The user's number."""
    return pwd.getpwnam(user).pw_uid


def only_record(place: Path) -> dict[str, Any]:
    """The record of the only job, once it has ended."""
    (path,) = (place / "jobs").glob("*.json")
    until(lambda: json.loads(path.read_text())["ended"] is not None, "the end of the job")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_without_its_variables(guest: GuestGravscope) -> None:
    """cron and ssh without PAM leave XDG_RUNTIME_DIR and the bus address unset: both are derived."""
    guest.environ = {name: value for name, value in guest.environ.items() if name not in BUS}
    done = guest("run", "-n", "cron", "--mem-max", "40M", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    record = guest.ended(done.stdout.strip())
    assert (record["launcher"], record["fallback_reason"], record["state"]) == ("scope", None, "succeeded")
    assert record["effective"]["mem_max"] == 40 << 20


@pytest.mark.parametrize("folder", ["/run/user/0", "/run/user/40002", "/nonexistent", ""])
def test_with_a_runtime_folder_that_is_not_ours(guest: GuestGravscope, folder: str) -> None:
    """su keeps another user's XDG_RUNTIME_DIR, and the bus address in it: our own are taken."""
    guest.environ |= {"XDG_RUNTIME_DIR": folder, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus"}
    done = guest("run", "-n", "su", "--launcher", "scope", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert guest.ended(done.stdout.strip())["launcher"] == "scope"


def test_the_job_itself_gets_the_right_ones(guest: GuestGravscope) -> None:
    """What the command sees of XDG_RUNTIME_DIR is what leads to the manager, not what was there before."""
    guest.environ |= {"XDG_RUNTIME_DIR": "/run/user/0"}
    guest.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
    job = guest.start("-n", "sees", "--", "systemctl", "--user", "is-system-running")
    assert guest.ended(job)["state"] == "succeeded"
    assert guest.log(job).strip() == "running"


@pytest.mark.as_root
def test_su_inside_of_a_login(login: OpenSession, place: Path) -> None:
    """`su alice` in root's login keeps root's XDG_RUNTIME_DIR: alice's own manager is found, and the scope is hers."""
    inner = " ".join(command(place, "run", "-n", "su", "--launcher", "scope", "--", "true"))
    with login("root") as session:
        kept = session.run("su alice -c 'echo $XDG_RUNTIME_DIR'").strip()
        session.run(f"cd / && su alice -c '{inner}'")
    assert kept == "/run/user/0"
    record = only_record(place)
    assert (record["state"], record["launcher"]) == ("succeeded", "scope")
    assert Path(record["log_file"]).stat().st_uid == uid_of("alice")


@pytest.mark.as_root
def test_su_to_one_without_a_manager(login: OpenSession, place: Path) -> None:
    """`su bob` in root's login, while bob has no manager: demanded, a scope is refused with what is missing."""
    assert not user_manager_runs("bob")
    inner = " ".join(command(place, "run", "-n", "su", "--launcher", "scope", "--", "true"))
    with login("root") as session:
        said = session.run(f"cd / && su bob -c '{inner}' || echo status $?")
    folder = f"/run/user/{uid_of('bob')}"
    assert f"no user manager: its folder {folder} is not there" in said
    assert "enable-linger" in said
    assert said.split()[-2:] == ["status", "5"]
    assert not (place / "jobs").exists()


def as_a_service(user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run by the system's own manager as that user, as cron would: no session, no PAM, no variables."""
    run = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--uid={user}", f"--gid={user}", *words]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.as_root
def test_a_service_of_a_lingering_user(place: Path) -> None:
    """A system service that runs as alice has a scope below alice's own manager, and the job outlives the service."""
    done = as_a_service("alice", *command(place, "run", "-n", "cron", "--", "sleep", "3"))
    assert (done.returncode, done.stderr) == (0, "")
    record = only_record(place)
    assert (record["state"], record["launcher"], record["fallback_reason"]) == ("succeeded", "scope", None)


@pytest.mark.as_root
def test_a_service_of_one_without_a_manager(place: Path) -> None:
    """Where there is no manager, a scope that was demanded is refused: status 5, and one line that says why."""
    assert not user_manager_runs("bob")
    done = as_a_service("bob", *command(place, "run", "-n", "cron", "--launcher", "scope", "--", "true"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (5, "", 1)
    assert f"no user manager: its folder /run/user/{uid_of('bob')} is not there" in done.stderr
    assert not (place / "jobs").exists()


@pytest.mark.as_root
def test_the_fallback_in_a_service(place: Path) -> None:
    """There `auto` takes a session and says so; it ends with its service, and the record says by what, and why."""
    done = as_a_service("bob", *command(place, "run", "-n", "cron", "--grace", "1s", "--", "sleep", "1000"))
    assert done.returncode == 0
    why = f"no user manager: its folder /run/user/{uid_of('bob')} is not there"
    assert "no systemd scope here: the job runs in a session; type: " in done.stderr
    record = only_record(place)
    assert (record["launcher"], record["fallback_reason"]) == ("session", why)
    assert (record["state"], record["signal"]) == ("killed", 15)
    assert "SIGTERM" in record["reason"]


@pytest.mark.as_root
def test_root_itself(place: Path) -> None:
    """Root without a login has no user manager either: told so, and its job runs in a session."""
    environ = {name: value for name, value in os.environ.items() if name not in BUS}
    words = command(place, "run", "-n", "root", "--", "true")
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    record = only_record(place)
    assert record["state"] == "succeeded"
    assert (record["launcher"] == "scope") == user_manager_runs("root")
