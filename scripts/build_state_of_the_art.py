"""Build the index page of everything computed so far: fits, cross-validation, report, progress notes.

The models behind the numbers are WS, line sources with a softened 1/r acceleration, and Φη, a low-passed Newtonian
potential (see rep6/fields.py).

This is an example workload for a job launcher: real arithmetic on real data, but not a claim about gravity.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a plain file from any folder and without installing anything: gravscope/ and scripts/rep6/ are found from here.
sys.path.insert(0, str(Path(__file__).resolve().parents[0]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gravscope.guard import require_job


def main() -> int:
    """Refuse unless started as a job; then build the page."""
    require_job()
    from rep6 import overview  # noqa: PLC0415 (jinja2 is loaded only after the guard)

    return overview.main("build_state_of_the_art", "Build the index page of all results.")


if __name__ == "__main__":
    sys.exit(main())
