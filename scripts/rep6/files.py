"""Where results go, and how a file is replaced in one step (standard library only)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA_DIR = ROOT / "scripts" / "data" / "sparc"

RESULTS = Path("data/results")
REPORT = Path("server/public/reports/ws_vs_phieta_rep6.html")
INDEX = Path("server/public/state_of_the_art/index.html")
PROGRESS = RESULTS / "progress.json"


class InputError(Exception):
    """Something the user can put right: shown as one line on standard error, exit status 2."""


def result_path(root: Path, stem: str, mode: str) -> Path:
    """Path of a result file, for example data/results/rep6_ws_fast.json below root."""
    return root / RESULTS / f"{stem}_{mode}.json"


def write_text(path: Path, text: str) -> None:
    """Replace path by text in one step: a reader sees the old file or the new one, never half of either."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, not only the bytes."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Write value as JSON; NaN and infinity are refused because they are not JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, hint: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a JSON file; hint says what to do about a missing one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file: {path} ({hint})") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
