"""Build the HTML report that compares models WS and Φη, from the results of run_rep6_ws.py and run_rep6_phieta.py.

One file with a table (M/L, amplitude, chi2, AICc, permutation test) and a plot per galaxy. WS adds to gas and stars
the field of line sources with a softened 1/r acceleration, Φη the low-passed Newtonian potential of the same light.

This is an example workload for a job launcher: real arithmetic on real data, but not a claim about gravity.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a plain file from any folder and without installing anything: gravscope/ and scripts/rep6/ are found from here.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gravscope.guard import require_job


def main() -> int:
    """Refuse unless started as a job; then build the page."""
    require_job()
    from rep6 import report  # noqa: PLC0415 (matplotlib and jinja2 are loaded only after the guard)

    return report.main("build_ws_vs_phieta_rep6", "Build the report that compares WS with Φη.")


if __name__ == "__main__":
    sys.exit(main())
