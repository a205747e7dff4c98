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

Importing this package imports nothing else: the supervisor and the guard live in it too. What it offers to Python
programs (docs/python.md) is loaded when it is first asked for.
"""

__version__ = "0.1.0"

__all__ = [
    "GravscopeError",
    "Job",
    "JobRecord",
    "Limits",
    "NoSuchJobError",
    "RefusedError",
    "StoreError",
    "UnsupportedError",
    "UsageError",
    "WaitTimeoutError",
    "guard",
    "jobs",
    "submit",
]

# type checkers go by this name; typing itself would have to be imported
TYPE_CHECKING = False
if TYPE_CHECKING:
    from gravscope import guard
    from gravscope.api import Job, jobs, submit
    from gravscope.base.errors import (
        GravscopeError,
        NoSuchJobError,
        RefusedError,
        StoreError,
        UnsupportedError,
        UsageError,
        WaitTimeoutError,
    )
    from gravscope.records.model import JobRecord
    from gravscope.records.spec import Limits
else:

    def __getattr__(name: str) -> object:
        """PEP 562: what stands in __all__, from where it is."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415

        if name == "guard":
            return import_module("gravscope.guard")
        found = getattr(import_module("gravscope.api"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        """What a notebook offers after the dot."""
        return sorted({*globals(), *__all__})
