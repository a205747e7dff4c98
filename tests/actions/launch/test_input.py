"""Input: whatever bytes are given reach the command as they are, by either launcher, and nothing leaves the folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from gravscope.actions.launch.spec import LONGEST_WORD
from gravscope.settings.known import MEMSAFE_ENV
from gravscope.systemd.commands import unit_name
from tests.support import REPOSITORY, Gravscope, ManagedGravscope, until

# the arguments and the variables of the command, as the kernel has them
TELL = "for what in 'cmdline', 'environ': print(open(f'/proc/self/{what}', 'rb').read().hex())"
COMMAND = (sys.executable, "-I", "-S", "-c", TELL)
NASTY = [
    b"", b"$HOME", b"${HOME}", b"$$", b"$", b"${", b"$VAR", b"a${X}b", b"`id`", b"$(id)", b"%h", b"%%", b"%n", b"%",
    b"; rm -rf x", b"a\nb", b"\n", b"\r\n", b"-n", b"--", b"--help", b"-", b"=", b"A=1", b"\\", b"\\x41", b"'", b'"',
    b"*", b"~", b"{a,b}", b"#", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "銀河🌀👨\u200d👩".encode(),
    "\u2028\x85".encode(), b"\x1b[31m", b"\x7f\x01", b" ", b"\t", b"a  b ", b"!!", b"@file", b"\xe9t\xe9",
]  # fmt: skip
WORD = st.sampled_from(NASTY) | st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"\1"))
NAME = st.from_regex(r"G_[A-Za-z0-9_]{0,20}", fullmatch=True)
VARIABLES = st.dictionaries(NAME, WORD, max_size=8)
# a shell's variables may have names that no -e would take
ODD_NAME = st.binary(max_size=20).map(lambda data: os.fsdecode(b"G" + data.translate(None, b"\0=")))
# real jobs are dear: few examples, each of many words; and shrinking would start hundreds
REAL = settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def told(tool: Gravscope, job: str) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The arguments and the environment that the command of an ended job was started with."""
    words, variables = (bytes.fromhex(line).split(b"\0")[:-1] for line in tool.log(job).splitlines())
    return words, dict(variable.split(b"=", 1) for variable in variables)


def run_to_the_end(
    tool: Gravscope, words: Sequence[bytes], given: Mapping[str, bytes], around: Mapping[str, bytes], *options: str
) -> str:
    """The id of a job with `words` behind the command, `given` with -e, beside what the shell has."""
    pairs = [option for name, value in given.items() for option in ("-e", f"{name}={os.fsdecode(value)}")]
    job = tool.start("-n", "tell", *options, *pairs, "--", *COMMAND, *map(os.fsdecode, words), env=decoded(around))
    assert tool.ended(job)["state"] == "succeeded", tool.log(job)
    return job


def decoded(variables: Mapping[str, bytes]) -> dict[str, str]:
    """As os.environ holds them."""
    return {name: os.fsdecode(value) for name, value in variables.items()}


@pytest.mark.slow
@given(st.lists(WORD, max_size=120), VARIABLES, st.dictionaries(ODD_NAME, WORD, max_size=8))
@example(NASTY, {f"G_{number}": word for number, word in enumerate(NASTY)}, {"G_1": b"\xff=\n", "BASH_FUNC_f%%": b"()"})
@REAL
def test_every_byte_reaches_a_session(
    gravscope: Gravscope, words: list[bytes], given: dict[str, bytes], around: dict[str, bytes]
) -> None:
    """Arguments, variables given with -e and those of the shell, all of them and no other, byte for byte."""
    job = run_to_the_end(gravscope, words, given, around)
    arguments, environ = told(gravscope, job)
    assert arguments == [os.fsencode(word) for word in COMMAND] + words
    ours = {name: value for name, value in environ.items() if name.startswith(b"GRAV")}
    assert sorted(ours) == [b"GRAVSCOPE_INVOCATION_ID", b"GRAVSCOPE_JOBS_DIR", b"GRAVSCOPE_JOB_ID",
                            b"GRAVSCOPE_LOG_DIR", b"GRAVSCOPE_NAME", b"GRAV_BG_JOB"]  # fmt: skip
    shell = {**gravscope.environ, "PYTHONUNBUFFERED": "1", **decoded(around), **MEMSAFE_ENV, **decoded(given)}
    assert environ == {**{os.fsencode(name): os.fsencode(value) for name, value in shell.items()}, **ours}


@given(st.lists(WORD, max_size=120), VARIABLES, VARIABLES)
@example(NASTY, {f"G_{number}": word for number, word in enumerate(NASTY)}, {"X": b"expanded", "G_1": b"\xff=\n"})
@REAL
def test_every_byte_reaches_a_scope(
    managed: ManagedGravscope, words: list[bytes], given: dict[str, bytes], around: dict[str, bytes]
) -> None:
    """The same beside a user manager: systemd-run expands neither $VAR nor %h, and adds no variable of its own."""
    job = run_to_the_end(managed, words, given, around)
    arguments, environ = told(managed, job)
    assert arguments == [os.fsencode(word) for word in COMMAND] + words
    for name, value in {**around, **given}.items():
        assert environ[name.encode()] == value
    assert environ[b"GRAVSCOPE_UNIT"] == unit_name(job).encode()
    assert not {b"LC_CTYPE", b"SYSTEMD_EXEC_PID", b"INVOCATION_ID"} & environ.keys()


@pytest.mark.parametrize(
    ("version", "word", "told"), [(252, "a${X}", False), (254, "a${X}", True), (261, "$X", True), (261, "%h", False)]
)
def test_a_systemd_that_expands_is_told_not_to(managed: ManagedGravscope, version: int, word: str, told: bool) -> None:
    """From systemd 254 there is an option for it, and later ones expand $VAR in scopes by default: a line to paste has
    the option where the systemd of this machine knows it, and a word needs it."""
    folder = managed.manager.new_folder("stub")
    stub = folder / "systemd-run"
    stub.write_text(f"#!/bin/sh\necho 'systemd {version} ({version}.1-1)'\n")
    stub.chmod(0o755)
    path = {"PATH": f"{folder}:{managed.manager.path}"}
    line = managed("run", "--dry-run", "--launcher", "scope", "--", "echo", word, env=path).stdout
    assert ("--expand-environment=no" in line) is told


def test_the_supervisors_own_path_is_not_expanded(managed: ManagedGravscope) -> None:
    """An installation in a folder with a $ starts jobs with the same option, where systemd-run knows it."""
    folder = managed.manager.new_folder("a${X}b")
    shutil.copytree(REPOSITORY / "gravscope", folder / "gravscope", ignore=shutil.ignore_patterns("__pycache__"))
    stub, seen = folder / "systemd-run", folder / "seen"
    stub.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo systemd 261; exit; }\n'
        'printf "%s\\n" "$@" > "${0%/*}/seen"\n'
        'for word; do shift; [ "$word" = --expand-environment=no ] || set -- "$@" "$word"; done\n'
        'exec /usr/bin/systemd-run "$@"\n'
    )
    stub.chmod(0o755)
    subprocess.run(["chown", "-R", str(managed.manager.uid), folder], check=True)
    job = managed.start("--", "true", env={"PYTHONPATH": str(folder), "PATH": f"{folder}:{managed.manager.path}"})
    assert managed.ended(job)["state"] == "succeeded"
    words = seen.read_text().splitlines()
    assert "--expand-environment=no" in words
    assert str(folder / "gravscope/supervisor/__main__.py") in words


def test_128_kib_of_arguments(gravscope: Gravscope) -> None:
    """A word as long as the kernel takes, and a megabyte of words and variables together, arrive whole."""
    longest = bytes(range(1, 256)) * (LONGEST_WORD // 255 + 1)
    words = [longest[:LONGEST_WORD], *[b"\xff" * 100_000] * 8, b"last"]
    job = run_to_the_end(gravscope, words, {"G_LONG": b"\n" * 100_000}, {})
    arguments, environ = told(gravscope, job)
    assert arguments[len(COMMAND) :] == words
    assert environ[b"G_LONG"] == b"\n" * 100_000


def test_more_than_the_kernel_takes_is_one_line(gravscope: Gravscope) -> None:
    """A variable that is too long is named before anything exists; too much altogether is told by whoever execs."""
    env_file = gravscope.folder / "env"
    env_file.write_text(f"FITS=1\nG_LONG={'x' * (LONGEST_WORD - len('G_LONG=') + 1)}\n")
    done = gravscope("run", "--env-file", str(env_file), "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    told = f"the variable G_LONG has {LONGEST_WORD + 1} bytes, and the kernel takes {LONGEST_WORD}; "
    assert done.stderr == f"gravscope: {told}hand it over in a file\n"
    assert not gravscope.jobs_dir.exists()
    # a quarter of the stack's limit, and 6 MiB where that has none (execve(2))
    env_file.write_text("".join(f"G_{number}={'x' * 100_000}\n" for number in range(80)))
    done = gravscope("run", "-n", "full", "--launcher", "session", "--env-file", str(env_file), "--", "true")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("gravscope: true: Argument list too long: its words and variables together ")
    assert [record["state"] for record in gravscope.records()] == ["never-started"]


@pytest.mark.parametrize("script", ["-x 2>/dev/null; echo $0-$1", "+x 2>/dev/null; echo $0-$1", "echo $0-$1"])
def test_a_shell_string_may_begin_with_a_dash(gravscope: Gravscope, script: str) -> None:
    """It is run as a string all the same, and never taken for options of bash."""
    job = gravscope.start("-n", "sh", "-c", "--", script, "-a", "--b")
    gravscope.ended(job)
    assert gravscope.log(job) == "-a---b\n"
    assert gravscope.record(job)["cmd"] == [script, "-a", "--b"]


def test_a_shell_string_is_what_was_given(gravscope: Gravscope) -> None:
    """Newlines, quotes, bytes that are no text: bash gets the string itself."""
    script = os.fsdecode(b"cat /proc/$$/cmdline\n: '$HOME %h \xff\n\xe9' # \xf0\x9f\x8c\x80\n:")
    job = gravscope.start("-n", "sh", "-c", "--", script)
    gravscope.ended(job)
    written = Path(gravscope.record(job)["log_file"]).read_bytes()
    assert written.split(b"\0")[:-1] == [b"bash", b"-c", b"--", os.fsencode(script)]


def test_python_adds_no_variable(gravscope: Gravscope) -> None:
    """In a C locale, as under cron, Python sets LC_CTYPE for itself; the command gets what was given and no more."""
    bare = {name: value for name, value in gravscope.environ.items() if not name.startswith(("LC_", "LANG"))}
    gravscope.environ = bare
    job = run_to_the_end(gravscope, [], {}, {})
    assert b"LC_CTYPE" not in told(gravscope, job)[1]
    job = run_to_the_end(gravscope, [], {}, {"LC_CTYPE": b"C.UTF-8"})
    assert told(gravscope, job)[1][b"LC_CTYPE"] == b"C.UTF-8"


def test_values_in_another_encoding(gravscope: Gravscope) -> None:
    """Where the locale has no UTF-8, a file of variables is bytes all the same, and so is a folder's name."""
    gravscope.jobs_dir = gravscope.folder / "銀河"
    env_file = gravscope.folder / "env"
    env_file.write_text("G_TEXT=途中🌀\n", encoding="utf-8")
    ascii_only = {"LC_ALL": b"C", "PYTHONUTF8": b"0", "PYTHONCOERCECLOCALE": b"0"}
    around = {**ascii_only, "GRAVSCOPE_JOBS_DIR": os.fsencode(gravscope.jobs_dir)}
    job = run_to_the_end(gravscope, [b"\xe9"], {}, around, "--env-file", str(env_file))
    assert told(gravscope, job)[1][b"G_TEXT"] == "途中🌀".encode()


def test_folders_of_any_name(gravscope: Gravscope) -> None:
    """Records and logs in folders whose names are hard on everybody: found, followed and ended like any other."""
    folders = {"GRAVSCOPE_JOBS_DIR": b"jobs\n\xff $HOME %h '\\x41", "GRAVSCOPE_LOG_DIR": b'-logs\xe9\n"`'}
    env = {name: os.fsdecode(bytes(gravscope.folder) + b"/" + folder) for name, folder in folders.items()}
    gravscope.jobs_dir = Path(env["GRAVSCOPE_JOBS_DIR"])  # where it is cleaned up
    job = gravscope.start("-n", "odd", "--", "bash", "-c", "echo hi; sleep 1000", env=env)
    assert gravscope("wait", "odd", "--ready", "hi", env=env).stdout == "hi\n"
    assert gravscope("cancel", "odd", env=env).returncode == 0
    assert gravscope("logs", "odd", env=env).stdout == "hi\n"
    assert gravscope("run", "--launcher", "session", "--follow", "--", "echo", "ho", env=env).stdout == "ho\n"
    assert sorted(os.listdir(bytes(gravscope.folder))) == sorted(folders.values())
    assert f"{job}.json" in os.listdir(gravscope.jobs_dir)


def test_a_line_to_paste_is_what_was_given(gravscope: Gravscope) -> None:
    """--dry-run prints bytes that are no text as they are, and a shell makes the same words of it again."""
    mark = gravscope.folder / "mark"
    script = 'printf "%s\\0" "$G_X" "$@" > "$0.new"; mv "$0.new" "$0"'
    options = ["--dry-run", "--launcher", "session", "-e", f"G_X={os.fsdecode(NASTY[-1])}"]
    words = [*gravscope.command, "run", *options, "--", "sh", "-c", script, str(mark), *map(os.fsdecode, NASTY)]
    line = subprocess.run(words, env=gravscope.environ, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["sh", "-c", line], check=True)
    until(mark.exists, "what the pasted line writes")
    assert mark.read_bytes().split(b"\0")[:-1] == [NASTY[-1], *NASTY]
