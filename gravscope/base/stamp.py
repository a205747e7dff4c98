"""Times as text, for records and ids."""

from __future__ import annotations

import time

# the format of the time in an id (strftime(3))
STAMP = "%Y%m%d_%H%M%S"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in local time, with milliseconds and the offset from UTC."""
    local = time.localtime(seconds)
    offset = abs(local.tm_gmtoff)
    sign = "-" if local.tm_gmtoff < 0 else "+"
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", local)
    odd = f":{offset % 60:02d}" if offset % 60 else ""  # the offset of a custom time zone may have seconds
    return f"{clock}.{int(seconds * 1000) % 1000:03d}{sign}{offset // 3600:02d}:{offset // 60 % 60:02d}{odd}"


def stamp(seconds: float) -> str:
    """Seconds since 1970 as local time to the second, in the format of ids."""
    return time.strftime(STAMP, time.localtime(seconds))
