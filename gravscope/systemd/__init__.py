"""systemd's tools and D-Bus interface: command lines, parsers of output, and whether a user manager can be reached.

`commands` builds command lines and parses output, and is pure. `host` runs them. `bus` changes limits over D-Bus
(pystemd, optional). This room imports `base`, `linux` and `records`.
"""
