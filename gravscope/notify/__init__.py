"""Notification: who is told that a job has ended, and the process that tells them.

`notify` reads the settings. `send` is the process, started by the supervisor as `__main__.py`: standard library only.
It imports `base`, `linux`, `settings` and `records`.
"""
