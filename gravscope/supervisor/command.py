"""Starts the command: fork, the last settings in the child, exec. Reports for certain whether exec succeeded."""

from __future__ import annotations

import errno
import os

from gravscope.linux import cgroup, proc
from gravscope.supervisor import syscalls
from gravscope.supervisor.request import Request

# the step at which the child failed, as it reports it through the pipe
CGROUP, CHDIR, EXEC = b"cgroup", b"chdir", b"exec"


class SpawnError(Exception):
    """The command could not be started; the message says why, and goes into the record."""


class Child:
    """The command's process from fork to exec.

    It waits until it is told to go on. By then its pid is in the record on disk, so that nothing of the job ever runs
    without being named in a record.
    """

    def __init__(self, request: Request, job_cgroup: str | None) -> None:
        self.request = request
        self.complaints, complain = os.pipe()
        go, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)  # otherwise the child would not notice the end of the supervisor
            _child(request, job_cgroup, go, complain)
        os.close(complain)
        os.close(go)
        for stream in request.streams:
            os.close(stream)
        self.pgid: int | None = None
        if request.foreground:
            # Only now, after the fork, because a process can only put itself into a new session. The command stays at
            # the terminal and the supervisor leaves it. So no signal of the terminal reaches the supervisor, and the
            # command's process group has no other parent in its session than under any shell.
            os.setsid()
            return
        self.pgid = self.pid
        try:
            os.setpgid(self.pid, self.pid)  # parent and child both do this, so that it is done whichever runs first
        except OSError:
            pass  # the child has exec'd, or has ended already

    def execute(self) -> None:
        """Lets the child go on, and returns once it has exec'd the command. Raises SpawnError if it could not.

        The pipe closes when exec succeeds, but also when the child is killed before exec.
        """
        try:
            os.write(self._go, b"!")
        except BrokenPipeError:
            pass  # the child has ended already
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
        """Lets the child end without exec."""
        os.close(self._go)
        os.close(self.complaints)
        os.waitpid(self.pid, 0)


def _child(request: Request, job_cgroup: str | None, go: int, complain: int) -> None:
    """Runs in the child until exec, which closes both pipes. Never returns."""
    stage = CGROUP
    try:
        if not request.foreground:
            os.setpgid(0, 0)
        for number, stream in enumerate(request.streams):
            os.dup2(stream, number)
        refused = cgroup.write(job_cgroup, "cgroup.procs", "0") if job_cgroup is not None else None
        if refused:
            raise OSError(0, refused)
        syscalls.raise_oom_score(request.oom_score)
        syscalls.reset_signals(request.ignored)
        if os.read(go, 1):  # empty if the supervisor has ended
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
    """execvp(3) with the job's own PATH. os.execvpe would do, but imports further modules in the child."""
    if b"/" in argv[0]:
        os.execve(argv[0], argv, environ)
    first_error: OSError | None = None
    for folder in environ.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin").split(b":"):
        try:
            os.execve((folder or b".") + b"/" + argv[0], argv, environ)
        except OSError as error:
            # report a file that was found and could not be run, rather than the folders without one
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and first_error is None:
                first_error = error
    raise first_error or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _explain(complaint: bytes, request: Request) -> str:
    stage, number, why = complaint.decode("utf-8", "replace").split(" ", 2)
    if stage == CGROUP.decode():
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
