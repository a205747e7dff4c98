"""gravscope launches heavy jobs so that none of them can take the terminal, the editor or the machine down with it.

The words used throughout:

project      a directory with `[tool.gravscope]` in pyproject.toml or a `gravscope.toml`; else the user's state folder
spec         what was asked for: command, name, limits, environment
job, id      one launched spec; NAME_YYYYmmdd_HHMMSS, local time, _2, _3 … where that second is taken
record       the job's JSON file: the spec, one state, and what is known so far
launcher     how a job gets going: `scope` (systemd-run --user --scope) or `session` (setsid + nohup)
unit         the job's scope, gravscope-ID.scope, in gravscope.slice
supervisor   the small process beside each job; it alone writes the record from launch to end
evidence     the facts gathered at the end; the outcome is the state that a pure function makes of them
enforcement  who holds the memory limit: `kernel`, `watch` (the supervisor samples and kills), `none`

Importing this package imports nothing else: the supervisor and the guard live in it too.
"""

__version__ = "0.1.0"
