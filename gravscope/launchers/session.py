"""A session of its own (setsid and nohup), for machines without a user manager: the watch enforces memory limits."""

from __future__ import annotations

from collections.abc import Mapping

from gravscope.base.errors import UnsupportedError
from gravscope.base.spawn import find_tool
from gravscope.launchers import Launch
from gravscope.systemd import commands


def launch(environ: Mapping[str, str], *, foreground: bool = False) -> Launch:
    """The launch in a session. Raises UnsupportedError if setsid or nohup is not installed.

    In the foreground neither is used: the command stays in the session of its terminal and gets SIGHUP at its end.
    """
    if foreground:
        return Launch("session", [], environ)
    prefix = commands.setsid_nohup()
    for tool in ("setsid", "nohup"):
        if find_tool(tool, environ) is None:
            raise UnsupportedError(f"{tool} is not installed", "it is in util-linux (setsid) or coreutils (nohup)")
    return Launch("session", prefix, environ)
