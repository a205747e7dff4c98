"""`gravscope doctor` as a whole: what it answers without a user manager and beside a real one, and what it leaves."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gravscope.actions.units import package_data
from tests.doctor_output import KERNELS_OWN, MACHINES_OWN, expected, masked, statuses
from tests.private_manager.manager import cgroup2_mount
from tests.support import REPOSITORY, Gravscope, ManagedGravscope, alive, until

BARE_OPEN = MACHINES_OWN | KERNELS_OWN | {"runtime-dir", "bus"}
# what the manager was handed down is the machine's to say, and then compared with what a scope of our own finds
MANAGER_OPEN = MACHINES_OWN | KERNELS_OWN | {"controllers", "io-cpuset", "limits", "slice"}
TRIALS = "gravscope-doctor-*"


def own_names(tool: Gravscope) -> dict[str, str]:
    """What differs from run to run."""
    return {str(tool.folder): "FOLDER", str(Path(sys.executable).parent / "gravscope"): "PROGRAM"}


# what a scope needs; which of them is missing first is the machine's to say
CHAIN = {"systemd", "runtime-dir", "bus", "manager", "controllers", "io-cpuset", "scope", "limits", "slice", "linger",
         "journal"}  # fmt: skip


def without_chain(printed: str) -> list[str]:
    """The lines that are not about what a scope needs."""
    return [line for line in printed.splitlines() if line.split()[1:2] and line[6:18].strip() not in {*CHAIN, ""}]


def test_one_cause_is_told_once(gravscope: Gravscope) -> None:
    """Without a manager one line fails, and says what that takes with it; JSON has all of them, each with its cause."""
    printed = gravscope("doctor").stdout
    assert list(statuses(printed).values()).count("fail") == 1
    (cause,) = [name for name, status in statuses(printed).items() if status == "fail"]
    checks = json.loads(gravscope("doctor", "--json").stdout)["checks"]
    follow = [check["name"] for check in checks if check["because"] == cause]
    assert {"scope", "limits", "slice", "controllers"} <= {*follow} <= CHAIN
    assert f"needed by: {', '.join(follow)}\n" in printed
    assert not {*follow} & {*statuses(printed)}


def test_colours_are_for_a_terminal(gravscope: Gravscope) -> None:
    """ok, warn and fail have theirs, unless NO_COLOR is set; a pipe has none."""
    shown = {}
    for env in ({"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}):
        argv = ["script", "-qec", shlex.join([*gravscope.command, "doctor"]), "/dev/null"]
        done = subprocess.run(
            argv, env=gravscope.environ | env, cwd=gravscope.folder, capture_output=True, text=True, check=False
        )
        shown[len(env)] = done.stdout
    assert "\x1b[32mok\x1b[0m    python" in shown[1]
    assert "\x1b[31mfail\x1b[0m  " in shown[1]
    assert "\x1b" not in shown[2] + gravscope("doctor").stdout


def test_a_narrow_terminal(gravscope: Gravscope) -> None:
    """No line is wider than the terminal, but for what is to be typed, and a path that has no space to break at."""
    command = f"stty cols 60; {shlex.join([*gravscope.command, 'doctor'])}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        env=gravscope.environ | {"TERM": "xterm", "NO_COLOR": "1"},
        cwd=gravscope.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.rstrip("\r") for line in done.stdout.splitlines()]
    assert len(lines) > len(gravscope("doctor").stdout.splitlines())
    wide = [line[19:] for line in lines if len(line) > 60]
    assert [text for text in wide if " " in text and not text.startswith("type: ")] == []
    words = " ".join(done.stdout.split())
    assert words.count("needed by: ") == 1
    assert "Scopes do not work here: jobs run in sessions, and gravscope watches their memory." in words


def units_left(managed: ManagedGravscope) -> str:
    """Every unit of the trials that the manager knows."""
    return managed.systemctl("list-units", "--all", "--plain", "--no-legend", TRIALS).stdout


def test_without_a_manager(gravscope: Gravscope) -> None:
    """Where systemd-run is missing, it says that scopes do not work, what does, and exits with 5."""
    done = gravscope("doctor")
    assert (done.returncode, done.stderr) == (5, "")
    assert without_chain(masked(done.stdout, BARE_OPEN, own_names(gravscope))) == without_chain(expected("bare"))
    assert not gravscope.jobs_dir.exists(), "looking changes nothing"


def test_beside_a_manager(managed: ManagedGravscope) -> None:
    """Beside a user manager a scope is really started, and it exits with 0; no unit of it is left."""
    done = managed("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    names = {**own_names(managed), str(managed.manager.runtime_dir): "RUNTIME"}
    shown = masked(done.stdout, MANAGER_OPEN, names).replace(" degraded", " running")
    assert shown == expected("manager")
    assert units_left(managed) == ""


def test_the_truth_about_limits(managed: ManagedGravscope) -> None:
    """`limits` is ok exactly where a scope of our own finds its MemoryMax in its cgroup, and the last line agrees."""
    prefix = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "-p", "MemoryMax=48M", "--"]
    script = 'cat "$0$(sed -n s,^0::,,p /proc/self/cgroup)/memory.max"'
    shown = managed.manager.run([*prefix, "sh", "-c", script, cgroup2_mount()])
    held = shown.stdout.strip() == str(48 << 20)
    printed = managed("doctor").stdout
    found = statuses(printed)
    assert found["limits"] == ("ok" if held else "warn")
    assert ("Scopes work here, and the kernel holds their limits." in printed) == held
    assert ("gravscope watches memory instead" in printed) != held
    controllers = (managed.manager.cgroup_root / "cgroup.controllers").read_text().split()
    assert found["controllers"] == ("ok" if {"memory", "pids", "cpu"} <= set(controllers) else "warn")
    assert found["io-cpuset"] == ("ok" if {"io", "cpuset"} <= set(controllers) else "warn")


def test_oom_is_tried_only_where_the_kernel_stops_it(managed: ManagedGravscope) -> None:
    """--oom sees a kill where the kernel holds limits; elsewhere it says that it was not tried."""
    printed = managed("doctor", "--oom").stdout
    found = statuses(printed)
    assert found["oom"] == found["limits"]
    assert ("the kernel holds no memory limit here" in printed) == (found["limits"] == "warn")
    assert units_left(managed) == ""


def test_found_without_its_variables(managed: ManagedGravscope) -> None:
    """As under cron: the folder and the address are derived, and it says so."""
    managed.manager = managed.manager.without_bus_env()
    done = managed("doctor")
    assert done.returncode == 0
    folder = managed.manager.runtime_dir
    assert f"XDG_RUNTIME_DIR is unset: {folder} is taken" in done.stdout
    assert f"{folder}/bus, its address derived" in done.stdout


def test_json(gravscope: Gravscope) -> None:
    """--json prints one object with scope_works and a list of name, status, found, type, and nothing else."""
    done = gravscope("doctor", "--json")
    found = json.loads(done.stdout)
    assert set(found) == {"scope_works", "checks"}
    assert (found["scope_works"], done.returncode) == (False, 5)
    assert all(set(check) == {"name", "status", "found", "type", "because"} for check in found["checks"])
    assert {check["status"] for check in found["checks"]} <= {"ok", "warn", "fail"}
    told = [check["name"] for check in found["checks"] if check["because"] is None]
    assert told == list(statuses(gravscope("doctor").stdout))


def stuck_systemd_run(managed: ManagedGravscope, then: str) -> tuple[Path, Mapping[str, str]]:
    """An environment whose `systemd-run` starts the real scope, tells so in a file, and then goes on with `then`."""
    folder = managed.manager.new_folder("stub")
    stub, mark = Path(folder) / "systemd-run", Path(folder) / "mark"
    stub.write_text(
        "#!/bin/sh\n"
        "for word; do case $word in --unit=*) unit=${word#--unit=};; esac; done\n"
        f'exec /usr/bin/systemd-run --user --scope --quiet --collect --unit="$unit" --slice=gravscope.slice '
        f"-- sh -c 'echo $$ > {mark}; {then}'\n"
    )
    stub.chmod(0o755)
    return mark, {"PATH": f"{folder}:{managed.manager.path}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted(managed: ManagedGravscope, number: int) -> None:
    """Ctrl-C in the middle of a trial, or a kill, leaves neither process nor unit."""
    mark, env = stuck_systemd_run(managed, "exec cat")  # says nothing, so that doctor waits
    process = managed.manager.popen(
        [*managed.command, "doctor"], env={**managed.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: mark.exists() and mark.read_text().strip(), "the scope has started")
    pid = int(mark.read_text())
    assert units_left(managed) != ""
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert units_left(managed) == ""
    until(lambda: units_left(managed) == "" and not alive(pid), "neither unit nor process is left")


def test_a_stuck_scope(managed: ManagedGravscope) -> None:
    """A scope that never says that it has started is given up in time and ended, all of it: exit status 5."""
    mark, env = stuck_systemd_run(managed, 'setsid sleep 1000 & trap "" TERM; while :; do sleep 0.1; done')
    script = (
        "import sys, gravscope.actions.doctor.trial as s; s.START_WITHIN, s.END_WITHIN = 3.0, 0.5;"
        "from gravscope.cli import main; sys.argv = ['gravscope', 'doctor']; main()"
    )
    done = managed.manager.run([sys.executable, "-c", script], env={**managed.environ, **env}, cwd=managed.folder)
    assert done.returncode == 5, done.stderr
    assert "the scope did not start in time" in done.stdout
    pid = int(mark.read_text())
    until(lambda: units_left(managed) == "" and not alive(pid), "neither unit nor process is left")


def test_a_systemd_run_that_fails(managed: ManagedGravscope) -> None:
    """As systemd 249.6 did: the manager answers and no scope can be started. Its own words are shown, exit status 5."""
    folder = managed.manager.new_folder("stub")
    stub = Path(folder) / "systemd-run"
    stub.write_text("#!/bin/sh\necho 'Job failed. See \"journalctl -xe\" for details.' >&2\nexit 1\n")
    stub.chmod(0o755)
    done = managed("doctor", env={"PATH": f"{folder}:{managed.manager.path}"})
    assert done.returncode == 5
    found = statuses(done.stdout)
    assert (found["manager"], found["scope"]) == ("ok", "fail")
    assert 'could not be started: Job failed. See "journalctl -xe" for details.' in done.stdout


def test_a_manager_that_never_answers(managed: ManagedGravscope) -> None:
    """A `systemctl` that hangs costs its time limit once, and is a line like any other."""
    folder = managed.manager.new_folder("stub")
    stub = Path(folder) / "systemctl"
    stub.write_text("#!/bin/sh\ncase $* in *SystemState*) exec sleep 1000;; esac\nexit 1\n")
    stub.chmod(0o755)
    script = (
        "import sys, gravscope.actions.doctor.probes as p; p.PATIENCE = 0.5;"
        "from gravscope.cli import main; sys.argv = ['gravscope', 'doctor']; main()"
    )
    env = {**managed.environ, "PATH": f"{folder}:{managed.manager.path}"}
    done = managed.manager.run([sys.executable, "-c", script], env=env, cwd=managed.folder)
    assert done.returncode == 5, done.stderr
    assert "systemctl did not answer within 0.5 s" in done.stdout


def test_fix_makes_folders_private(gravscope: Gravscope) -> None:
    """--fix makes what is missing 0700, takes the right to write from others, says so, and has no more to do then."""
    gravscope.log_dir.mkdir(mode=0o777)
    gravscope.log_dir.chmod(0o777)
    assert statuses(gravscope("doctor").stdout)["log-dir"] == "warn"
    done = gravscope("doctor", "--fix", "--json")
    fixed = json.loads(done.stdout)["fixed"]
    assert f"made {gravscope.jobs_dir}, mode 0700" in fixed
    assert f"took the right to write to {gravscope.log_dir} from others, mode 0755" in fixed
    assert [path.stat().st_mode & 0o777 for path in (gravscope.jobs_dir, gravscope.log_dir)] == [0o700, 0o755]
    again = gravscope("doctor", "--fix")
    assert not any(str(gravscope.folder) in line for line in again.stderr.splitlines())
    assert (statuses(again.stdout)["jobs-dir"], statuses(again.stdout)["log-dir"]) == ("ok", "ok")


def test_fix_does_not_follow_links(gravscope: Gravscope) -> None:
    """A symbolic link in the place of a folder is not chmodded through."""
    elsewhere = gravscope.folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    gravscope.log_dir.symlink_to(elsewhere)
    gravscope("doctor", "--fix")
    assert elsewhere.stat().st_mode & 0o777 == 0o777


def test_fix_forgets_failed_scopes(managed: ManagedGravscope) -> None:
    """--fix has the manager forget a failed gravscope-*.scope, and reload where a unit file of ours has changed."""
    unit = f"gravscope-left_{os.getpid()}.scope"
    folder = managed.manager.home / ".config/systemd/user"
    argv = [
        "systemd-run",
        "--user",
        "--scope",
        "--quiet",
        f"--unit={unit}",
        "-p",
        "RuntimeMaxSec=1ms",
        "--",
        "sleep",
        "9",
    ]
    managed.manager.run(argv)
    show = ("list-units", "--state=failed", "--plain", "--no-legend", unit)
    until(lambda: managed.systemctl(*show).stdout, "a failed scope")
    done = managed("doctor", "--fix")
    assert f"fix: systemctl --user reset-failed {unit}" in done.stderr
    assert managed.systemctl(*show).stdout == ""
    assert not folder.exists() or "daemon-reload" not in done.stderr


def test_fix_says_when_there_is_nothing(gravscope: Gravscope) -> None:
    """Without anything to mend it says just that, or names what it was not allowed to do."""
    for folder in (gravscope.jobs_dir, gravscope.log_dir):
        folder.mkdir(mode=0o700)
    lines = gravscope("doctor", "--fix").stderr.splitlines()
    assert len(lines) == 1
    assert "nothing that could be mended" in lines[0] or "enable-linger" in lines[0]


def test_in_the_readers_own_project(gravscope: Gravscope) -> None:
    """A log folder below public/ is named: this repository's own settings show it."""
    env = {"GRAVSCOPE_JOBS_DIR": "", "GRAVSCOPE_LOG_DIR": ""}
    done = gravscope("doctor", env=env, cwd=REPOSITORY)
    assert statuses(done.stdout)["log-dir"] == "warn"
    assert "is below public/: a web server may show it" in done.stdout
    assert "type: export GRAVSCOPE_LOG_DIR=~/.local/state/gravscope/logs" in done.stdout
    own = {"GRAVSCOPE_LOG_DIR": str(gravscope.log_dir)}
    assert statuses(gravscope("doctor", env=env | own, cwd=REPOSITORY).stdout)["log-dir"] == "ok", "typing it helps"


def test_a_program_in_the_working_directory(gravscope: Gravscope) -> None:
    """With `.` first in PATH a systemctl that lies about would be run: it is said, and what to type takes it out."""
    env = {"PATH": f".:{gravscope.environ['PATH']}"}
    assert "PATH has .: a systemctl that somebody puts there would be run" in gravscope("doctor", env=env).stdout
    assert "path" not in statuses(gravscope("doctor").stdout)


def test_what_to_type_is_there(gravscope: Gravscope) -> None:
    """The swap script that it names is a file of this installation."""
    assert package_data.path_of("scripts/swap_extend.sh").is_file()
    printed = gravscope("doctor").stdout
    assert statuses(printed)["swap"] == "ok" or str(REPOSITORY / "scripts/swap_extend.sh") in printed
