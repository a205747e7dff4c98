"""`gravscope guard check` and `gravscope guard install`: which scripts have the guard, and adding it to the others.

A file is replaced in one step and keeps its mode, owner, encoding, byte order mark and line endings. If the path is a
symbolic link, its target is rewritten. Hard links are broken: the other names keep the old text.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import stat
import tempfile
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gravscope.actions.guard.lines import Kind, has_guard, insert_guard, kind_of
from gravscope.base.errors import GravscopeError, UsageError

_BOM = b"\xef\xbb\xbf"
# Python decodes characters; a shell reads bytes, which surrogateescape keeps unchanged.
_ERRORS: dict[Kind, str] = {"python": "strict", "shell": "surrogateescape"}


@dataclass(frozen=True, slots=True)
class GuardStatus:
    """Whether one script refuses to run outside a job."""

    path: Path
    kind: Kind
    guarded: bool


@dataclass(frozen=True, slots=True)
class GuardChange:
    """What installing did to one file, or would do (dry run). `diff` is a unified diff, empty if nothing changes."""

    path: Path
    changed: bool
    diff: str


@dataclass(frozen=True, slots=True)
class _Script:
    path: Path
    target: Path  # the file itself, behind any symbolic links
    data: bytes
    text: str
    encoding: str
    kind: Kind


def check(paths: Sequence[Path]) -> list[GuardStatus]:
    """Say for each file whether it has a guard. The first file that is not a readable script raises UsageError."""
    return [_status(_read(path)) for path in paths]


def install(paths: Sequence[Path], dry_run: bool = False) -> list[GuardChange]:
    """Add a guard to each file that has none. No file is written before all of them are known to be valid."""
    planned: list[tuple[_Script, str]] = []
    seen: set[Path] = set()
    for path in paths:
        script = _read(path)
        # The same file under two names gets one guard.
        planned.append((script, script.text if script.target in seen else _guarded(script)))
        seen.add(script.target)
    if not dry_run:
        for script, text in planned:
            if text != script.text:
                _replace(script, text)
    return [GuardChange(script.path, text != script.text, _diff(script, text)) for script, text in planned]


def _status(script: _Script) -> GuardStatus:
    try:
        return GuardStatus(script.path, script.kind, has_guard(script.text, script.kind))
    except UsageError as error:
        raise UsageError(f"{script.path}: {error.message}", error.hint) from error


def _guarded(script: _Script) -> str:
    try:
        text = insert_guard(script.text, script.kind)
        try:
            text.encode(script.encoding, _ERRORS[script.kind])
        except UnicodeEncodeError:
            text = insert_guard(script.text, script.kind, ascii_only=True)
    except UsageError as error:
        raise UsageError(f"{script.path}: {error.message}", error.hint) from error
    return text


def _read(path: Path) -> _Script:
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
        # Checked before opening, as opening a FIFO would wait for ever.
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is {'a directory' if stat.S_ISDIR(mode) else 'not a regular file'}, not a script")
        data = target.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop of links
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if b"\0" in data:
        raise UsageError(f"{path} is a binary file, not a script")
    first_line = re.split(rb"[\r\n]", data.removeprefix(_BOM), maxsplit=1)[0].decode("ascii", "replace")
    kind = kind_of(str(path), first_line) or kind_of(str(target), first_line)
    if kind is None:
        raise UsageError(
            f"{path} is neither a Python nor a shell script", "it needs a .py or .sh name, or a first line that says so"
        )
    text, encoding = _decode(path, data, kind)
    return _Script(path, target, data, text, encoding, kind)


def _decode(path: Path, data: bytes, kind: Kind) -> tuple[str, str]:
    encoding = "utf-8-sig" if data.startswith(_BOM) else "utf-8"
    try:
        if kind == "python":
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except SyntaxError as error:
        raise UsageError(f"{path}: {error.msg}") from error
    except (UnicodeDecodeError, LookupError) as error:
        if kind == "python":
            raise UsageError(f"{path} is not {encoding}, as Python would read it") from error
        # The encoding is unknown, but not UTF-8, so the added line will be plain ASCII.
        return data.decode("ascii", _ERRORS[kind]), "ascii"


def _replace(script: _Script, text: str) -> None:
    """Replace the file in one step, so that neither a reader nor a crash can find half of the new text."""
    try:
        before = script.target.stat()
        descriptor, name = tempfile.mkstemp(prefix=f".{script.target.name}.", dir=script.target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(text.encode(script.encoding, _ERRORS[script.kind]))
                stream.flush()
                if os.geteuid() == 0:
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                # After the owner, since a change of the owner clears the set-user-id bits (chown(2)).
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                os.fsync(descriptor)
            if script.target.read_bytes() != script.data:
                raise GravscopeError(f"{script.path} was changed by someone else just now; it is left alone")
            temporary.replace(script.target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise GravscopeError(f"{script.path} cannot be written: {error.strerror or error}") from error


def _diff(script: _Script, text: str) -> str:
    old, new = (_lines(version) for version in (script.text, text))
    name = str(script.path).lstrip("/")
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def _lines(text: str) -> list[str]:
    # Bytes that are not text become question marks, since a diff must be printable.
    shown = text.encode("utf-8", "replace").decode()
    lines = re.findall(r"[^\n]*\n|[^\n]+", shown)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
