"""Notification of a job's end: who is notified, and the process that does it.

`notify` reads the settings. `send` is the process, which the supervisor starts as `__main__.py`; it needs only the
standard library. This room imports `base`, `linux`, `settings` and `records`.
"""
