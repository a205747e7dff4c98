"""Fit model Φη (filtered potential) to the rotation curves of six galaxies, and test the residuals.

The Newtonian potential of the disk's light, low-passed in Fourier space with width σk and anisotropy β, acts on top of
gas and stars; its amplitude and the stars' mass-to-light ratio are fitted per galaxy. See rep6/fields.py for the model,
rep6/fit.py for the fit, rep6/permute.py for the test.

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
    """Refuse unless started as a job; then compute."""
    require_job()
    from rep6 import run  # noqa: PLC0415 (numpy and scipy are loaded only after the guard)

    return run.main("phieta", "run_rep6_phieta", "Fit model Φη (filtered potential) to six rotation curves.")


if __name__ == "__main__":
    sys.exit(main())
