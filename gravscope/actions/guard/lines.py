"""The guard as text: whether a source has one, and where to insert it. Works on text only; no file is touched.

The inserted lines work where gravscope is not installed. `gravscope.actions.guard.files` reads and writes the files.
The heuristics for what counts as a guard answer "no" in doubt: a second guard costs only a line.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Literal

from gravscope.base.errors import UsageError

Kind = Literal["python", "shell"]

VARIABLE = "GRAV_BG_JOB"
MESSAGE = "dispatcher経由で実行してください"
_ASCII_SHELL_MESSAGE = "run this through the dispatcher"

# Names with an underscore do not clash with the script's; orig_argv (Python 3.10) has the full command line.
_PYTHON_GUARD = """\
if __name__ == "__main__":  # gravscope guard: heavy, so it runs only as a job
    import os as _os
    import sys as _sys

    if _os.environ.get("GRAV_BG_JOB") != "1":
        import shlex as _shlex

        _command = "gravscope run -- " + _shlex.join(_sys.orig_argv)
        _sys.exit("{message}\\n" + _command)
"""
# The comment at the end hides the carriage return of a CRLF file from the shell.
_SHELL_GUARD = (
    '[ "${{GRAV_BG_JOB:-}}" = 1 ] || {{ '
    "printf '%s\\n' '{message}' \"gravscope run -- {shell} $0 $*\" >&2; exit 1; }}  # gravscope guard\n"
)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_SUFFIXES: dict[str, Kind] = {".py": "python", ".pyw": "python", ".sh": "shell", ".bash": "shell"}
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
_PYTHON = re.compile(r"(python|pypy)[\d.]*")


def kind_of(name: str, first_line: str) -> Kind | None:
    """Return what a file is by its name and its first line; None if neither says; UsageError if they contradict."""
    words = _shebang(first_line)
    by_line: Kind | None = next((kind for word in words if (kind := _interpreter_kind(word))), None)
    by_name = next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)
    if by_name and words and by_line != by_name:
        raise UsageError(f"{name} is {by_name} by its name, but its first line is {first_line.strip()!r}")
    return by_line or by_name


def _shebang(line: str) -> list[str]:
    return [word.rpartition("/")[2] for word in line[2:].split()] if line.startswith("#!") else []


def _interpreter_kind(word: str) -> Kind | None:
    if _PYTHON.fullmatch(word) or word == "uv":  # `#!/usr/bin/env -S uv run --script` runs Python
        return "python"
    return "shell" if word in _SHELLS else None


def has_guard(source: str, kind: Kind) -> bool:
    """Tell whether the source refuses to run outside a job. A mention in a comment or a string does not count."""
    if kind == "shell":
        return _shell_has_guard(_shell_code(source))
    return _python_has_guard(parse_python(source))


def insert_guard(source: str, kind: Kind, ascii_only: bool = False) -> str:
    """Return the source with a guard at its top, or unchanged if it has one; `ascii_only` adds only ASCII."""
    if has_guard(source, kind):
        return source
    if kind == "shell":
        message = _ASCII_SHELL_MESSAGE if ascii_only else MESSAGE
        guard = _SHELL_GUARD.format(message=message, shell=_shell_of(source))
        return _insert_at(source, _after_comments(source), guard)
    message = ascii(MESSAGE)[1:-1] if ascii_only else MESSAGE
    tree = parse_python(source)
    guarded = _insert_python(source, tree, _PYTHON_GUARD.format(message=message))
    _verify_python(tree, guarded)
    return guarded


def parse_python(source: str) -> ast.Module:
    """Parse the source without printing warnings. Raises UsageError if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        raise UsageError(f"line {error.lineno or 1} is not valid Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"this cannot be read as Python: {error}") from error


# Where the guard goes


def _insert_at(source: str, offset: int, guard: str) -> str:
    """Insert the guard at the start of a line, with the source's line endings and empty lines around it."""
    newline, before, after = _newline_of(source), source[:offset], source[offset:]
    if before and not before.endswith(("\r", "\n")):
        before += newline
    lines = _NEWLINE.split(before)
    gap_before = newline if len(lines) > 1 and lines[-2].strip() else ""
    first_after = _NEWLINE.split(after, maxsplit=1)[0]
    gap_after = newline if first_after.strip() else ""
    return before + gap_before + guard.replace("\n", newline) + gap_after + after


def _newline_of(source: str) -> str:
    return found[0] if (found := _NEWLINE.search(source)) else "\n"


def _line_starts(source: str) -> list[int]:
    # Not str.splitlines: it also splits at form feeds and others, which end no line for Python or a shell.
    return [0, *(found.end() for found in _NEWLINE.finditer(source))]


def _after_comments(source: str) -> int:
    """Return the offset of the first line that is neither empty nor a comment.

    All comments stay above: Slurm reads `#SBATCH` lines only up to the first command (sbatch(1)), and the encoding of a
    Python file must be in its first two lines (PEP 263).
    """
    for start in _line_starts(source):
        line = _NEWLINE.split(source[start:], maxsplit=1)[0].strip()
        if line and not line.startswith("#"):
            return start
    return len(source)


def _insert_python(source: str, tree: ast.Module, guard: str) -> str:
    last = _last_leading_statement(tree)
    if last is None:
        return _insert_at(source, _after_comments(source), guard)
    end = _offset(source, last.end_lineno or 1, last.end_col_offset or 0)
    rest = source[end:]
    # `"""doc"""; import x`: the line is split at the semicolon if something follows it.
    cut = re.match(r"(?:[ \t\f]|\\(?:\r\n|\r|\n))*;(?:[ \t\f]|\\(?:\r\n|\r|\n))*(?=[^\s#])", rest)
    if cut:
        newline = _newline_of(source)
        return _insert_at(source[:end] + newline + rest[cut.end() :], end + len(newline), guard)
    line_end = _NEWLINE.search(source, end)
    return _insert_at(source, line_end.end() if line_end else len(source), guard)


def _last_leading_statement(tree: ast.Module) -> ast.stmt | None:
    """Return the last statement that has to come first: the docstring, or an import from `__future__`."""
    last: ast.stmt | None = None
    for index, node in enumerate(tree.body):
        docstring = index == 0 and isinstance(node, ast.Expr) and _is_text(node.value)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        last = node
    return last


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _offset(source: str, lineno: int, column: int) -> int:
    """Convert ast's line and column (in UTF-8 bytes) to an offset in the text."""
    start = _line_starts(source)[lineno - 1]
    line = _NEWLINE.split(source[start:], maxsplit=1)[0]
    return start + len(line.encode()[:column].decode(errors="ignore"))


def _verify_python(tree: ast.Module, guarded: str) -> None:
    """Raise UsageError if the result differs from the source in more than the guard, as it may with an odd layout."""
    new = parse_python(guarded)
    kept = [node for node in new.body if not (isinstance(node, ast.If) and _python_has_guard(_module(node)))]
    if ast.dump(_module(*kept)) != ast.dump(_module(*tree.body)):
        raise UsageError("no place for the guard was found", "put `require_job()` of gravscope.guard in by hand")


def _module(*body: ast.stmt) -> ast.Module:
    return ast.Module(body=list(body), type_ignores=[])


def _shell_of(source: str) -> str:
    words = _shebang(_NEWLINE.split(source, maxsplit=1)[0])
    return next((word for word in words if word in _SHELLS), "sh")


# Recognising a guard in Python


class _Facts:
    """What the names in a module mean: the name of the variable, or whether the script is in a job."""

    def __init__(self, tree: ast.Module) -> None:
        self.keys: set[str] = set()
        self.polarities: dict[str, int] = {}
        self.guards = {"require_job"}
        self.exits = {"exit", "_exit", "quit", "abort", "execv", "execve", "execvp", "execvpe", "execl", "execlp"}
        for node in [*ast.walk(tree)] * 2:  # twice, for names that are used above their definition
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.ImportFrom(names=names):
                self.guards |= {alias.asname for alias in names if alias.name == "require_job" and alias.asname}
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._bind(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._bind(name, value)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                self._bind(name, value)
            case ast.FunctionDef(name=name, body=[*_, ast.Return(value=ast.expr() as value)]):
                self._bind(name, value)
            case ast.FunctionDef(name=name, body=[*_, ast.Expr() | ast.Raise() as last]) if self.has_exit([last]):
                self.exits.add(name)

    def _bind(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Constant) and value.value == VARIABLE:
            self.keys.add(name)
        elif polarity := self.polarity(value):
            self.polarities[name] = polarity

    def is_key(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.keys
        return isinstance(node, ast.Constant) and node.value == VARIABLE

    def polarity(self, node: ast.expr) -> int:
        """Return 1 for an expression that is true only inside a job, -1 for one true only outside, else 0."""
        polarity = 0
        match node:
            case ast.Name(id=name):
                polarity = self.polarities.get(name, 0)
            case ast.NamedExpr(value=value):
                polarity = self.polarity(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                polarity = -self.polarity(operand)
            case ast.BoolOp(values=values):
                polarity = next(filter(None, map(self.polarity, values)), 0)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                polarity = self._comparison(left, op, right)
            case ast.Subscript(slice=key):
                polarity = int(self.is_key(key))
            case ast.Call():
                polarity = self._call(node)
        return polarity

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> int:
        negated = -1 if isinstance(op, ast.NotEq | ast.NotIn | ast.IsNot) else 1
        if isinstance(op, ast.In | ast.NotIn) and self.is_key(left):
            return negated
        subject, other = (left, right) if self.polarity(left) else (right, left)
        falsy = isinstance(other, ast.Constant) and other.value in (None, "", "0", False)
        return self.polarity(subject) * negated * (-1 if falsy else 1)

    def _call(self, node: ast.Call) -> int:
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "getenv") | ast.Name(id="getenv"), args=[key, *_]):
                return int(self.is_key(key))
            case ast.Call(func=ast.Name(id="bool" | "int" | "str"), args=[value]):
                return self.polarity(value)
            case ast.Call(func=ast.Attribute(value=value)):  # .strip(), .lower() …
                return self.polarity(value)
            case ast.Call(func=ast.Name() as name):
                return self.polarity(name)
            case _:
                return 0

    def has_exit(self, nodes: Sequence[ast.AST]) -> bool:
        """Tell whether the nodes contain an exit, a raise or an exec; functions defined in them do not count."""
        for node in nodes:
            if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _called(node) in self.exits):
                return True
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                continue
            if self.has_exit(list(ast.iter_child_nodes(node))):
                return True
        return False

    def guards_at(self, node: ast.AST) -> bool:
        found = False
        match node:
            case ast.Call():
                found = _called(node) in self.guards
            case ast.If(test=test, body=body, orelse=orelse):
                polarity = self.polarity(test)
                found = (polarity < 0 and self.has_exit(body)) or (polarity > 0 and self.has_exit(orelse))
            case ast.Assert(test=test):
                found = self.polarity(test) > 0
            case ast.Expr(value=ast.BoolOp(op=op, values=[test, *rest])):
                found = self.polarity(test) == (1 if isinstance(op, ast.Or) else -1) and self.has_exit(rest)
            case ast.Try(body=body, handlers=handlers):  # os.environ["GRAV_BG_JOB"], and an exit on KeyError
                read = any(isinstance(n, ast.Subscript) and self.polarity(n) for b in body for n in ast.walk(b))
                found = read and self.has_exit(handlers)
            case ast.FunctionDef(name=name, body=body):
                found = self._returns_early(body) or (name == "main" and self._main_returns_failure(body))
        return found

    def _returns_early(self, body: list[ast.stmt]) -> bool:
        """True for `if in_job: return` with an exit below it."""
        for index, node in enumerate(body):
            if isinstance(node, ast.If) and self.polarity(node.test) > 0 and isinstance(node.body[-1], ast.Return):
                return self.has_exit([n for n in body[index + 1 :] if isinstance(n, ast.Expr | ast.Raise)])
        return False

    def _main_returns_failure(self, body: list[ast.stmt]) -> bool:
        """True for `if not in_job: return 1` in main(), whose return value becomes the exit status."""
        return any(
            isinstance(node, ast.If) and self.polarity(node.test) < 0 and isinstance(node.body[-1], ast.Return)
            for node in body
        )


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _python_has_guard(tree: ast.Module) -> bool:
    facts = _Facts(tree)
    return any(facts.guards_at(node) for node in ast.walk(tree))


# Recognising a guard in shell

_SHELL_TOKEN = re.compile(
    r"(?P<escaped>\\.)"
    r"|(?P<comment>(?<![^\s;&|()])\#[^\n]*)"
    r"|(?<!<)<<-?[ \t]*['\"\\]?(?P<word>\w+)['\"]?(?P<rest>[^\n]*)\n.*?^\t*(?P=word)$"
    r"|'(?P<single>[^']*)'"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"',
    re.DOTALL | re.MULTILINE,
)
_EXPANSION = re.compile(r"\$(?:\{" + VARIABLE + r"\b[^}]*\}|" + VARIABLE + r"\b)")
_TEST = re.compile(
    r"(?P<outer>!\s+)?(?:\[\[?|\btest)\s(?P<inner>[^;&|\n]*?(?:\$\{?|-v\s+)" + VARIABLE + r"\b[^;&|\n]*)"
    r"(?P<next>\|\||&&|;|\n)(?P<rest>.*)",
    re.DOTALL,
)
_NEGATION = re.compile(r"(?<!\S)(?:!|!=|-ne|-z)(?!\S)")
_FALSY = re.compile(r"=\s*(?:\"\"|''|\"?0\"?)(?!\S)|-(?:eq|ne)\s+0(?!\S)")
_EXIT = re.compile(r"(?:^|[;{&|]|\b(?:then|else|do)\b)\s*(?:exit|exec)\b", re.MULTILINE)
# ${NAME:?} ends a non-interactive shell (POSIX, 2.6.2 Parameter Expansion).
_REQUIRED = re.compile(r"\$\{" + VARIABLE + r":?\?")
_CASE = re.compile(r"\bcase\s+\"?\$\{?" + VARIABLE + r"\b[^\n]*?\bin\b(?P<arms>.*?)\besac\b", re.DOTALL)


def _shell_code(source: str) -> str:
    """Remove comments, here-documents and quoted text; in quoted text, expansions of the variable are kept."""
    return _SHELL_TOKEN.sub(_strip_token, _NEWLINE.sub("\n", source).replace("\\\n", " "))


def _strip_token(token: re.Match[str]) -> str:
    if token["word"] is not None:
        return str(token["rest"])
    if token["single"] is not None:
        return f"'{_mask(token['single'])}'"
    if token["double"] is not None:
        return f'"{"".join(_EXPANSION.findall(token["double"])) or _mask(token["double"])}"'
    return "" if token["comment"] is not None else "x"


def _mask(text: str) -> str:
    # Other quoted texts do not matter: "" and "0" reverse a comparison.
    return text if text in ("", "0", "1") else "x"


def _shell_has_guard(code: str) -> bool:
    if _REQUIRED.search(code) or any(_arm_exits(found["arms"]) for found in _CASE.finditer(code)):
        return True
    found = _TEST.search(code)
    while found and not _test_exits(found):
        found = _TEST.search(code, found.end("inner"))
    return found is not None


def _arm_exits(arms: str) -> bool:
    return _EXIT.search(arms.replace(")", ";")) is not None


def _test_exits(found: re.Match[str]) -> bool:
    negations = len(_NEGATION.findall(found["inner"])) + len(_FALSY.findall(found["inner"])) + bool(found["outer"])
    inside = negations % 2 == 0  # the test is true inside a job
    rest = found["rest"].lstrip()
    if found["next"] == ("||" if inside else "&&"):
        end = re.search(r"[;\n]\s*\}", rest) if rest.startswith("{") else re.search(r"[;\n]", rest)
        # An exit in parentheses leaves only the subshell.
        return not rest.startswith("(") and _EXIT.search(rest[: end.start() if end else None]) is not None
    if found["next"] in ";\n" and rest.startswith("then"):
        branches = re.split(r"\bel(?:se|if)\b", re.split(r"\bfi\b", rest, maxsplit=1)[0])
        chosen = branches[1:] if inside else branches[:1]
        return any(_EXIT.search(branch) for branch in chosen)
    return False
