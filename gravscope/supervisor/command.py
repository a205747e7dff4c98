"""Starts the command: fork, the last settings in the child, exec; and tells for certain whether exec went well."""

from __future__ import annotations

import errno
import os

from gravscope.linux import cgroup, proc
from gravscope.supervisor import syscalls
from gravscope.supervisor.request import Request

# what the child could not do, as it tells us through the pipe
PLACE, CHDIR, EXEC = b"place", b"chdir", b"exec"


class SpawnError(Exception):
    """The command could not be started; the message says why, in words for the record."""


class Child:
    """The command's process from fork to exec. It waits for our word: by then its pid is in the record on disk, so
    that nothing of the job ever runs which a record does not name."""

    def __init__(self, request: Request, job_cgroup: str | None) -> None:
        self.request = request
        self.complaints, complain = os.pipe()
        go, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)  # else it would never see the end of us
            _child(request, job_cgroup, go, complain)
        os.close(complain)
        os.close(go)
        for stream in request.streams:
            os.close(stream)
        self.pgid: int | None = None
        if request.foreground:
            # only now, since nobody can put a child into another session: the command stays at the terminal, and
            # we leave it, so that no signal of it reaches us and its process group has only the parents of any shell
            os.setsid()
            return
        self.pgid = self.pid
        try:
            os.setpgid(self.pid, self.pid)  # the child does the same; whoever comes first
        except OSError:
            pass  # it has been exec'd, or has ended already

    def execute(self) -> None:
        """Lets it go on, and returns once the command has been exec'd. Raises SpawnError if it could not be.

        The pipe closes by itself when exec succeeds; but also when the child is killed before.
        """
        try:
            os.write(self._go, b"!")
        except BrokenPipeError:
            pass  # it is gone already
        os.close(self._go)
        with os.fdopen(self.complaints, "rb") as pipe:
            complaint = pipe.read()
        if complaint:
            os.waitpid(self.pid, 0)
            raise SpawnError(_explain(complaint, self.request))
        found = proc.stat(self.pid)
        if found is not None and not found.execed:
            _pid, status = os.waitpid(self.pid, 0)
            raise SpawnError(f"ended by signal {os.WTERMSIG(status)} before it was exec'd")

    def abandon(self) -> None:
        """Lets it end instead, before the command is exec'd."""
        os.close(self._go)
        os.close(self.complaints)
        os.waitpid(self.pid, 0)


def _child(request: Request, job_cgroup: str | None, go: int, complain: int) -> None:
    """In the child, until exec, with which both pipes close. Never returns."""
    stage = PLACE
    try:
        if not request.foreground:
            os.setpgid(0, 0)
        for number, stream in enumerate(request.streams):
            os.dup2(stream, number)
        refused = cgroup.write(job_cgroup, "cgroup.procs", "0") if job_cgroup is not None else None
        if refused:
            raise OSError(0, refused)
        syscalls.raise_oom_score(request.oom_score)
        syscalls.default_signals(request.ignored)
        if os.read(go, 1):  # nothing comes from a supervisor that is gone
            stage = CHDIR
            os.chdir(request.cwd)
            stage = EXEC
            _exec(request.argv, request.environ)
    except OSError as error:
        os.write(complain, b"%s %d %s" % (stage, error.errno or 0, str(error.strerror).encode()))
    except BaseException as error:
        os.write(complain, b"%s 0 %s" % (stage, repr(error).encode("utf-8", "backslashreplace")))
    finally:
        os._exit(127)


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
    stage, number, why = complaint.decode("utf-8", "replace").split(" ", 2)
    if stage == PLACE.decode():
        return f"the job's cgroup: {why}"
    if stage == CHDIR.decode():
        return f"cwd {request.cwd.decode('utf-8', 'backslashreplace')}: {why}"
    name = request.argv[0].decode("utf-8", "backslashreplace")
    if int(number) == errno.ENOENT and b"/" not in request.argv[0]:
        return f"command not found: {name}"
    if int(number) == errno.E2BIG:
        return f"{name}: {why}: its words and variables together are more than the kernel takes"
    if int(number) == errno.ENOEXEC:
        return f"{name}: {why}: does its first line name an interpreter?"
    return f"{name}: {why}"
