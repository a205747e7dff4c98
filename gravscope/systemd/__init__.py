"""systemd's tools and its bus: command lines, parsers of what they print, and whether a user manager answers.

`commands` builds and parses and is pure; `host` runs; `bus` does over D-Bus what no tool does (pystemd, optional). It
imports `base`, `linux` and `records`.
"""
