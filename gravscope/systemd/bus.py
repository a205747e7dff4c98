"""Talks to the user manager over D-Bus, with pystemd (extra `systemd`). Every caller also works without it.

Changes limits of a running unit without starting systemctl. The interface is org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gravscope.base.quantity import INFINITY
from gravscope.records.spec import Limits
from gravscope.systemd.commands import unit_limits

# "no limit" on the bus (UINT64_MAX)
_NO_LIMIT = 2**64 - 1


def available() -> bool:
    """True if pystemd is installed and GRAVSCOPE_NO_BUS is not set."""
    if os.environ.get("GRAVSCOPE_NO_BUS"):
        return False
    try:
        import pystemd.dbuslib  # noqa: F401, PLC0415 (optional, and 30 ms)
    except ImportError:
        return False
    return True


def bus_properties(limits: Limits) -> dict[str, int]:
    """`limits` as properties of the manager, with their values on the bus: bytes, and CPU time in µs per second."""
    found = {name: _NO_LIMIT if size == INFINITY else int(size) for name, size in unit_limits(limits).items()}
    if limits.cpu_quota is not None:
        found["CPUQuotaPerSecUSec"] = int(limits.cpu_quota * 10_000)
    return found


def set_properties(unit: str, limits: Limits, environ: Mapping[str, str]) -> str | None:
    """Changes the limits of a running unit until it ends. None on success, else the manager's error message."""
    from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 (optional)

    properties = {name.encode(): value for name, value in bus_properties(limits).items()}
    try:
        with _manager(environ) as manager:
            manager.Manager.SetUnitProperties(unit.encode(), True, properties)
    except DBusBaseError as error:
        return str(error)
    return None


def _manager(environ: Mapping[str, str]) -> Any:  # noqa: ANN401 (pystemd has no types)
    from pystemd.dbuslib import DBusAddress  # noqa: PLC0415 (optional)
    from pystemd.systemd1 import Manager  # noqa: PLC0415 (optional)

    bus = DBusAddress(environ["DBUS_SESSION_BUS_ADDRESS"].encode())
    bus.open()
    return Manager(bus=bus)
