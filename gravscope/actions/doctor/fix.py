"""`gravscope doctor --fix`: what needs no privilege and can take nothing away from anybody."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from gravscope.actions.doctor.facts import Folder
from gravscope.actions.doctor.folders import WRITABLE_BY_GROUP, WRITABLE_BY_OTHERS, look_at, writable_by_others
from gravscope.actions.doctor.probes import PATIENCE, ask_manager, read_linger, user_name
from gravscope.base.errors import GravscopeError
from gravscope.records.folder import make_private_folder
from gravscope.settings.project import Project
from gravscope.systemd import commands, host

OUR_SCOPES = "gravscope-*.scope"
OUR_UNITS = (commands.SLICE, "gravscope-prune.timer", "gravscope-prune.service")


def fix(project: Project, environ: Mapping[str, str]) -> list[str]:
    """Mends what it may, and returns a line for each thing that was done, or tried in vain."""
    uid = os.geteuid()
    done = []
    for folder in (project.jobs_dir, project.log_dir):
        done += _fix_folder(look_at(folder, uid), uid)
    manager, reach = ask_manager(environ, uid)
    if manager.trouble is None:
        done += _fix_manager(reach)
    return done + _fix_linger(user_name(uid), environ)


def _fix_folder(found: Folder, uid: int) -> list[str]:
    if found.kind == "missing" and found.link_owner is None and found.can_write:
        try:
            make_private_folder(found.path)
        except GravscopeError as error:
            return [str(error)]
        return [f"made {found.path}, mode 0700"]
    if found.kind == "folder" and found.owner == uid and found.link_owner is None and writable_by_others(found):
        return [_take_back(found.path, uid)]
    return []


def _take_back(path: Path, uid: int) -> str:
    """Takes the right to write from others; to read stays, since a web server may be meant to show the logs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return f"{path}: {error.strerror}"
    try:
        now = os.fstat(descriptor)
        if now.st_uid != uid:
            return f"{path}: it is somebody else's now, and was left alone"
        mode = stat.S_IMODE(now.st_mode) & ~(WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return f"took the right to write to {path} from others, mode {mode:04o}"


def _fix_manager(reach: Mapping[str, str]) -> list[str]:
    """Forgets failed scopes of ours; reloads only where files changed, since a reload may drop live settings."""
    done = []
    argv = ["systemctl", "--user", "list-units", "--state=failed", "--plain", "--no-legend", OUR_SCOPES]
    units = [line.split()[0] for line in host.call(argv, reach, PATIENCE).out.splitlines() if line.strip()]
    for unit in units:
        complaint = host.call(commands.systemctl_reset_failed(unit), reach, PATIENCE).complaint
        done.append(f"systemctl --user reset-failed {unit}" + (f": {complaint}" if complaint else ""))
    if any(_needs_reload(unit, reach) for unit in OUR_UNITS):
        complaint = host.call(["systemctl", "--user", "daemon-reload"], reach, PATIENCE).complaint
        done.append("systemctl --user daemon-reload" + (f": {complaint}" if complaint else ""))
    return done


def _needs_reload(unit: str, reach: Mapping[str, str]) -> bool:
    asked = host.call(commands.systemctl_show(unit, ["NeedDaemonReload"]), reach, PATIENCE)
    return commands.parse_properties(asked.out).get("NeedDaemonReload") == "yes"


def _fix_linger(user: str, environ: Mapping[str, str]) -> list[str]:
    if read_linger(user, environ).on is not False:
        return []
    asked = host.call(["loginctl", "--no-ask-password", "enable-linger"], environ, PATIENCE)
    if asked.complaint is None:
        return ["loginctl enable-linger"]
    return [f"loginctl enable-linger needs a password, or is not allowed: {asked.complaint}"]
