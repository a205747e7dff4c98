"""The guard as text: where it is inserted, and what counts as one."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.actions.guard.lines import has_guard, insert_guard, kind_of
from gravscope.base.errors import UsageError

OPENING = 'if __name__ == "__main__":  # gravscope guard'


def guard_position(source: str) -> int:
    """The number of the guard's first line in the guarded source."""
    lines = insert_guard(source, "python").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(OPENING))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("", 1),
        ("import x\n", 1),
        ("import x", 1),
        ("#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\nimport x\n", 4),
        ("\n# coding: utf-8\nimport x\n", 4),
        ('"""doc"""', 3),
        ('"""doc"""\n', 3),
        ('"""doc"""; import x', 3),
        ('"""doc""" ; import x; import y\n', 3),
        ('"""doc""";\nimport x\n', 3),
        ('"""doc"""; # note\nimport x\n', 3),
        ('"""doc"""  # note\n# more\nimport x\n', 3),
        ('"""two\nlines"""\n\nfrom __future__ import annotations\nimport x\n', 6),
        ("from __future__ import annotations; import x\n", 3),
        ("from __future__ import (\n    annotations,\n    generator_stop,\n)\n", 6),
        ("# /// script\n# dependencies = []\n# ///\n\n@x.y\ndef f(): pass\n", 5),
        ('"あ"; import x\n', 3),
        ('f"not a docstring"\n', 1),
    ],
)
def test_position(source: str, line: int) -> None:
    """The guard is below shebang, encoding, comments, docstring and __future__, and above everything else."""
    assert guard_position(source) == line


@pytest.mark.parametrize(
    "source",
    [
        "if __name__ == '__main__':\n    from gravscope.guard import require_job\n    require_job()\n",
        "from gravscope import guard\nguard.require_job('x')\n",
        "from gravscope.guard import require_job as only_jobs\nonly_jobs()\n",
        "import os, sys\nif os.environ.get('GRAV_BG_JOB') != '1':\n    sys.exit(1)\n",
        "import os\nif not os.getenv('GRAV_BG_JOB'):\n    raise SystemExit('no')\n",
        "import os\nif 'GRAV_BG_JOB' not in os.environ:\n    raise RuntimeError\n",
        "import os\nif os.environ.get('GRAV_BG_JOB') is None: exit(1)\n",
        "import os\nif os.environ.get('GRAV_BG_JOB', '').strip() == '1':\n    pass\nelse:\n    os._exit(1)\n",
        "import os, sys\nK = 'GRAV_BG_JOB'\nok = os.environ.get(K) == '1'\nif not ok: sys.exit(1)\n",
        "def inside():\n    return getenv('GRAV_BG_JOB') == '1'\nif not inside():\n    exit(1)\n",
        "def die():\n    sys.exit(1)\nif getenv('GRAV_BG_JOB') != '1': die()\n",
        "os.environ.get('GRAV_BG_JOB') == '1' or sys.exit(1)\n",
        "assert os.environ.get('GRAV_BG_JOB') == '1', 'no'\n",
        "try:\n    os.environ['GRAV_BG_JOB']\nexcept KeyError:\n    sys.exit(1)\n",
        "def need():\n    if getenv('GRAV_BG_JOB') == '1':\n        return\n    print('no')\n    sys.exit(1)\n",
        "def main():\n    if getenv('GRAV_BG_JOB') != '1':\n        return 1\nsys.exit(main())\n",
        "if (job := os.environ.get('GRAV_BG_JOB')) != '1' and not force:\n    os.execvp('gravscope', cmd)\n",
    ],
)
def test_python_guards_are_recognised(source: str) -> None:
    """A call of require_job, or a check of GRAV_BG_JOB with an exit, is a guard, and nothing is added."""
    assert has_guard(source, "python")
    assert insert_guard(source, "python") == source


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# GRAV_BG_JOB: if it is not 1, sys.exit(1)\n",
        "# require_job()\n",
        "'''if os.environ.get('GRAV_BG_JOB') != '1': sys.exit(1)'''\n",
        "def require_job(): pass\n",
        "from gravscope.guard import require_job\n",
        "print('GRAV_BG_JOB is not set'); sys.exit(1)\n",
        "if os.environ.get('GRAV_BG_JOB') != '1':\n    print('careful')\n",
        "if os.environ.get('GRAV_BG_JOB') == '1':\n    sys.exit('not as a job')\n",
        "if os.environ.get('OTHER') != '1':\n    sys.exit('GRAV_BG_JOB')\n",
        "env = dict(os.environ, GRAV_BG_JOB='1')\nr = run(cmd, env=env)\nif r.returncode: sys.exit(1)\n",
        "env = {'GRAV_BG_JOB': '1'}\nif not env: sys.exit(1)\n",
        "if os.environ.get('GRAV_BG_JOB') != '1':\n    def f(): sys.exit(1)\n",
        "os.environ['GRAV_BG_JOB'] = '1'\n",
    ],
)
def test_python_mentions_are_no_guards(source: str) -> None:
    """A comment, a string, an assignment, or a check without an exit is not a guard."""
    assert not has_guard(source, "python")
    assert has_guard(insert_guard(source, "python"), "python")


@pytest.mark.parametrize(
    "source",
    [
        "[ \"${GRAV_BG_JOB:-}\" = 1 ] || { echo 'dispatcher経由で実行してください' >&2; exit 1; }\n",
        "[[ $GRAV_BG_JOB == 1 ]] || exit 1\n",
        '[ "$GRAV_BG_JOB" != 1 ] && exit 1\n',
        '[ -z "$GRAV_BG_JOB" ] && { echo no; exit 1; }\n',
        'test "$GRAV_BG_JOB" = 1 || exec gravscope run -- "$0" "$@"\n',
        'if [ "$GRAV_BG_JOB" != "1" ]; then\n  echo no >&2\n  exit 1\nfi\n',
        'if [ "$GRAV_BG_JOB" != 1 ]\nthen exit 1; fi\n',
        'if ! [ "$GRAV_BG_JOB" = 1 ]; then exit 1; fi\n',
        'if [ "${GRAV_BG_JOB:-}" = 1 ]; then\n  :\nelse\n  exit 1\nfi\n',
        'if [ "$GRAV_BG_JOB" = "" ]; then exit 1; fi\n',
        '[ "${GRAV_BG_JOB:-0}" = 0 ] && exit 1\n',
        "[[ -v GRAV_BG_JOB ]] || \\\n  exit 1\n",
        ": ${GRAV_BG_JOB:?run this through the dispatcher}\n",
        ': "${GRAV_BG_JOB?no}"\n',
        'case "$GRAV_BG_JOB" in\n  1) ;;\n  *) exit 1 ;;\nesac\n',
    ],
)
def test_shell_guards_are_recognised(source: str) -> None:
    """A test of GRAV_BG_JOB with an exit is a guard, on one line or several, and nothing is added."""
    assert has_guard(source, "shell")
    assert insert_guard(source, "shell") == source


@pytest.mark.parametrize(
    "source",
    [
        "",
        '# [ "$GRAV_BG_JOB" = 1 ] || exit 1\n',
        "echo '[ $GRAV_BG_JOB = 1 ] || exit 1'\n",
        'echo "GRAV_BG_JOB is $GRAV_BG_JOB"; exit 1\n',
        'cat <<EOF\n[ "$GRAV_BG_JOB" = 1 ] || exit 1\nEOF\n',
        "cat <<-'EOF' >x\n\t: ${GRAV_BG_JOB:?no}\n\tEOF\nexit 1\n",
        '[ "$GRAV_BG_JOB" = 1 ] || echo careful\nexit 0\n',
        '[ "$GRAV_BG_JOB" = 1 ] && exit 1\n',
        '[ "$GRAV_BG_JOB" = 1 ] || (echo no; exit 1)\n',
        'if [ "$GRAV_BG_JOB" = 1 ]; then exit 0; fi\n',
        'if [ "$GRAV_BG_JOB" != 1 ]; then echo "exit 1"; fi\nexit 0\n',
        '[ "$GRAV_BG_JOBS" = 1 ] || exit 1\n',
        "export GRAV_BG_JOB=1; exit\n",
    ],
)
def test_shell_mentions_are_no_guards(source: str) -> None:
    """A comment, a string, a here-document, or a test without an exit is not a guard."""
    assert not has_guard(source, "shell")
    assert has_guard(insert_guard(source, "shell"), "shell")


def test_shell_position_keeps_directives_above() -> None:
    """In a shell script the guard is below all comments at the top (Slurm reads those) and above all commands."""
    source = "#!/bin/bash -eu\n#SBATCH --mem=1G\n\n#SBATCH -c 2\n\nset -x\n# below\n"
    lines = insert_guard(source, "shell").splitlines()
    assert [line for line in lines if not line.startswith("[ ")] == [*source.splitlines()[:5], "", "set -x", "# below"]
    assert lines[5].startswith('[ "${GRAV_BG_JOB:-}" = 1 ] || {')
    assert "gravscope run -- bash $0 $*" in lines[5]


def test_ascii_only_adds_no_other_letters() -> None:
    """In a file whose encoding is limited the guard is plain ASCII; in Python it still prints Japanese."""
    assert insert_guard("x = 1\n", "python", ascii_only=True).isascii()
    assert insert_guard("ls\n", "shell", ascii_only=True).isascii()
    tree = ast.parse(insert_guard("x = 1\n", "python", ascii_only=True))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert any(text.startswith("dispatcher経由で実行してください") for text in texts)


@pytest.mark.parametrize("source", ["def f(:\n", "x = '\n", "a\0b", "\ufeffx = 1\ny = (\n"])
def test_no_python_is_refused(source: str) -> None:
    """Invalid Python is refused with one error that says so."""
    with pytest.raises(UsageError, match="Python"):
        insert_guard(source, "python")


def test_odd_layout_is_refused_not_broken() -> None:
    """If the guard would change the meaning of the script, it is refused and not inserted."""
    with pytest.raises(UsageError):
        insert_guard("\\\n  x = 1\ny = (\n", "python")


@pytest.mark.parametrize(
    ("name", "line", "kind"),
    [
        ("a.py", "import x", "python"),
        ("a.pyw", "", "python"),
        ("a.sh", "", "shell"),
        ("a", "#!/usr/bin/env python3", "python"),
        ("a", "#!/usr/bin/python3.12 -u", "python"),
        ("a", "#!/usr/bin/env -S uv run --script", "python"),
        ("a", "#!/bin/dash", "shell"),
        ("a.sh", "#!/usr/bin/env bash", "shell"),
        ("a", "#!/usr/bin/perl", None),
        ("a.txt", "hello", None),
        ("a", "# python", None),
    ],
)
def test_kind(name: str, line: str, kind: str | None) -> None:
    """A file is what its first line or its name says."""
    assert kind_of(name, line) == kind


@pytest.mark.parametrize(("name", "line"), [("a.py", "#!/bin/sh"), ("a.sh", "#!/usr/bin/fish")])
def test_kind_contradiction(name: str, line: str) -> None:
    """If the name and the first line contradict each other, the file is refused: neither guard would be safe."""
    with pytest.raises(UsageError, match="by its name"):
        kind_of(name, line)


COMMENTS = st.sampled_from(["", "#!/usr/bin/env python3\n", "# -*- coding: utf-8 -*-\n", "# note\n", "\n", "\x0c\n"])
DOCSTRINGS = st.sampled_from(['"""doc"""', "'one'", '"""two\n\nlines\x0b"""', 'r"""あ \\d"""', "('par' 'ts')", ""])
FUTURES = st.sampled_from(
    ["", "from __future__ import annotations", "from __future__ import (\n    division,  # why\n    annotations)"]
)
STATEMENTS = st.sampled_from(
    [
        "x = 1",
        "import os",
        "@x\ndef f():\n    '''inner'''\n    return 1",
        "class あ: pass",
        "if x:\n    y",
        "# comment",
        "",
    ]
)
JOINTS = st.sampled_from(["\n", "\n\n", "  # note\n", ";\n", "; ", " ;", "\n# GRAV_BG_JOB exit\n"])


@st.composite
def modules(draw: st.DrawFn) -> str:
    """Sources with very odd beginnings; those that are not Python are left out."""
    top = "".join(draw(st.lists(COMMENTS, max_size=3)))
    parts = [draw(DOCSTRINGS), draw(FUTURES), *draw(st.lists(STATEMENTS, max_size=3))]
    body = "".join(part + draw(JOINTS) for part in parts if part)
    source = (top + body).rstrip("\n") + draw(st.sampled_from(["", "\n", "\n\n"]))
    return source.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def parses(source: str) -> bool:
    """Whether this is valid Python."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def without_guard(tree: ast.Module) -> str:
    """The tree as text, without the guard and without line numbers."""
    kept = [node for node in tree.body if not (isinstance(node, ast.If) and "GRAV_BG_JOB" in ast.dump(node))]
    return ast.dump(ast.Module(body=kept, type_ignores=[]))


@given(modules().filter(parses))
def test_guarded_python_means_the_same(source: str) -> None:
    """The guarded source compiles; docstring, __future__ flags and statements are unchanged; one guard is added."""
    guarded = insert_guard(source, "python")
    before, after = compile(source, "s", "exec"), compile(guarded, "s", "exec")
    assert ast.get_docstring(ast.parse(guarded), clean=False) == ast.get_docstring(ast.parse(source), clean=False)
    assert after.co_flags == before.co_flags
    assert without_guard(ast.parse(guarded)) == without_guard(ast.parse(source))
    assert has_guard(guarded, "python")
    assert insert_guard(guarded, "python") == guarded


@given(modules().filter(parses))
def test_one_style_of_line_ending(source: str) -> None:
    """A source with one kind of line ending still has only that kind after it is guarded."""
    guarded = insert_guard(source, "python")
    if "\r\n" in source:
        assert guarded.count("\n") == guarded.count("\r\n")
    elif "\n" in source:
        assert "\r" not in guarded


SHELL_LINES = st.sampled_from(
    ["#!/bin/sh", "#SBATCH -c 1", "", "set -eu", "echo 'a b'", "cat <<EOF", "EOF", 'x="it\'s"', "# GRAV_BG_JOB", "\t"]
)


@given(st.lists(SHELL_LINES), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_guarded_shell_keeps_every_line(lines: list[str], newline: str, ends: bool) -> None:
    """In a shell script every line stays, in order; the guard is recognised; a second time changes nothing."""
    source = newline.join(lines) + (newline if ends else "")
    guarded = insert_guard(source, "shell")
    kept = [line for line in re.split("\r?\n", guarded) if line and not line.startswith('[ "${GRAV')]
    assert kept == [line for line in re.split("\r?\n", source) if line]
    assert insert_guard(guarded, "shell") == guarded


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """For any text these functions work, or raise an error that says why."""
    has_guard(text, "shell")
    assert has_guard(insert_guard(text, "shell"), "shell")
    try:
        assert has_guard(insert_guard(text, "python"), "python")
    except UsageError as error:
        assert "\n" not in error.message


@pytest.mark.parametrize("value", [None, "", "0", "1"])
@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_shell_guard_for_real(shell: str, value: str | None) -> None:
    """With the line inserted, a shell script runs only if GRAV_BG_JOB is 1, also under `set -eu`."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = insert_guard("#!/bin/sh\nset -eu\necho ran\n", "shell")
    environment = {"PATH": "/usr/bin:/bin"} | ({} if value is None else {"GRAV_BG_JOB": value})
    done = subprocess.run([shell, "-eu", "-c", script], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == ((0, b"ran\n") if value == "1" else (1, b""))
    assert ("dispatcher経由で実行してください" in done.stderr.decode()) == (value != "1")


@pytest.mark.parametrize("value", [None, "", "0", "1"])
def test_python_guard_for_real(value: str | None) -> None:
    """With the lines inserted, a Python script runs only if GRAV_BG_JOB is 1, without gravscope installed."""
    script = insert_guard("'doc'\nprint('ran')\n", "python")
    environment = {} if value is None else {"GRAV_BG_JOB": value}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=script.encode(), env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == ((0, b"ran\n") if value == "1" else (1, b""))
    assert b"Traceback" not in done.stderr
