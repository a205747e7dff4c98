"""Starts the command: fork, the last settings in the child, exec; and tells for certain whether exec went well."""

from __future__ import annotations

import errno
import os

from gravscope import cgroup
from gravscope.supervisor import kernel
from gravscope.supervisor.request import Request

# what the child could not do, as it tells us through the pipe
CHDIR, EXEC = b"chdir", b"exec"


class SpawnError(Exception):
    """The command could not be started; the message says why, in words for the record."""


def spawn(request: Request, job_cgroup: str | None) -> int:
    """The pid of the command, once it has been exec'd. Raises SpawnError if it could not be.

    The pipe closes by itself when exec succeeds, so silence is the proof of it.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _child(request, job_cgroup, writing)
        finally:
            os._exit(127)
    os.close(writing)
    try:
        os.setpgid(pid, pid)  # the child does the same; whoever comes first
    except OSError:
        pass  # it has been exec'd already
    with os.fdopen(reading, "rb") as pipe:
        complaint = pipe.read()
    if complaint:
        os.waitpid(pid, 0)
        raise SpawnError(_explain(complaint, request))
    return pid


def _child(request: Request, job_cgroup: str | None, pipe: int) -> None:
    """In the child, until exec; `pipe` closes with it."""
    os.setpgid(0, 0)
    if job_cgroup is not None:
        cgroup.write(job_cgroup, "cgroup.procs", "0")
    kernel.raise_oom_score(request.oom_score)
    kernel.default_signals()
    stage = CHDIR
    try:
        os.chdir(request.cwd)
        stage = EXEC
        _exec(request.argv, request.environ)
    except OSError as error:
        os.write(pipe, b"%s %d" % (stage, error.errno or 0))


def _exec(argv: list[bytes], environ: dict[bytes, bytes]) -> None:
    """execvp(3) with the job's own PATH: as os.execvpe, which imports more in the child than we have loaded."""
    if b"/" in argv[0]:
        os.execve(argv[0], argv, environ)
    told: OSError | None = None
    for folder in environ.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin").split(b":"):
        try:
            os.execve((folder or b".") + b"/" + argv[0], argv, environ)
        except OSError as error:
            # one that may not be run is told rather than all the places where it is not
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and told is None:
                told = error
    raise told or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _explain(complaint: bytes, request: Request) -> str:
    stage, _, number = complaint.partition(b" ")
    why = os.strerror(int(number))
    if stage == CHDIR:
        return f"cwd {request.cwd.decode('utf-8', 'backslashreplace')}: {why}"
    name = request.argv[0].decode("utf-8", "backslashreplace")
    if int(number) == errno.ENOENT and b"/" not in request.argv[0]:
        return f"command not found: {name}"
    if int(number) == errno.ENOEXEC:
        return f"{name}: {why}: does its first line name an interpreter?"
    return f"{name}: {why}"
