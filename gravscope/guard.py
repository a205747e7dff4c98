"""The guard: makes a heavy script refuse to run except as a job (see `gravscope guard`).

    from gravscope.guard import require_job

    require_job()

A shell script does not need Python for this; put this line after its first comments (`gravscope guard install` does):

    [ "${GRAV_BG_JOB:-}" = 1 ] || { echo 'dispatcher経由で実行してください: gravscope run -- ...' >&2; exit 1; }

The guard is at the top of scripts that may be started thousands of times, so it imports only modules that a bare
`python` has already loaded; a test counts the modules.
"""

import os
import sys

MESSAGE = "dispatcher経由で実行してください"
# For a standard error that cannot show Japanese: escape sequences would not help anybody.
_ASCII_MESSAGE = "run this through the dispatcher"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
_NAME_LENGTH = 60


def require_job(name: str | None = None) -> None:
    """Return inside a job of gravscope (`GRAV_BG_JOB=1`). Anywhere else print what to type instead, and exit with 1."""
    if os.environ.get("GRAV_BG_JOB") == "1":
        return
    _complain(_job_command(name))
    sys.exit(1)


def _job_command(name: str | None) -> str:
    # orig_argv has the full command line, with the interpreter, its options and `-m`; argv does not.
    typed = sys.orig_argv or ["python", *sys.argv]
    return " ".join([_gravscope(), "run -n", _quoted(name or _script_name()), "--", *map(_quoted, typed)])


def _gravscope() -> str:
    # It is to be typed: where PATH has no gravscope, the one beside the interpreter, as in a virtual environment.
    folders = os.environ.get("PATH", os.defpath).split(":")
    beside = f"{(sys.executable or '').rpartition('/')[0]}/gravscope"
    if any(_is_program(f"{folder}/gravscope") for folder in folders if folder) or not _is_program(beside):
        return "gravscope"
    try:
        return _quoted(beside.removeprefix(f"{os.getcwd()}/"))  # noqa: PTH109 (no pathlib here)
    except OSError:  # the working directory is gone
        return _quoted(beside)


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113


def _script_name() -> str:
    # For `python -m package.tool` the module's name is in __spec__; a plain script has no __spec__.
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = "" if spec is None else spec.name.removesuffix("__main__").rstrip(".").rpartition(".")[2]
    if not name:
        # Not pathlib: importing it takes several times as long as the whole guard may.
        name = (sys.argv or [""])[0].rpartition("/")[2].removesuffix(".py")
    if name.startswith("-"):  # set by `python -c` and `python -`
        return "job"
    plain = "".join(c if c in _SAFE and c not in "@%+=:,/" else "-" for c in name)
    return plain.strip("-._")[:_NAME_LENGTH] or "job"


def _quoted(word: str) -> str:
    """Quote as shlex.quote does, without importing shlex, which imports `re`."""
    if word and _SAFE.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _complain(command: str) -> None:
    stream = sys.stderr
    if stream is None:  # with pythonw, or if descriptor 2 is closed
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        MESSAGE.encode(encoding)
        message = MESSAGE
    except (UnicodeEncodeError, LookupError):
        message, encoding = _ASCII_MESSAGE, "ascii"
    shown = command.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(f"{message}\n{shown}\n")
        stream.flush()
    except (OSError, ValueError):
        # If standard error is full, text that is left in it would make Python exit with 120 instead of 1.
        sys.stderr = None
