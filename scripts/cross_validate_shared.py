"""Cross-validate the parameters that models WS and Φη would share between galaxies, leaving out one galaxy at a time.

Grid point and amplitude are chosen on five galaxies and scored on the sixth, where only the stars' mass-to-light ratio
is fitted. See rep6/fields.py for the models and rep6/crossval.py for the procedure.

This is an example workload for a job launcher: real arithmetic on real data, but not a claim about gravity.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a plain file from any folder and without installing anything: gravscope/ and scripts/rep6/ are found from here.
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gravscope.guard import require_job


def main() -> int:
    """Refuse unless started as a job; then compute."""
    require_job()
    from rep6 import crossval  # noqa: PLC0415 (numpy and scipy are loaded only after the guard)

    return crossval.main("cross_validate_shared", "Leave-one-galaxy-out cross-validation of shared parameters.")


if __name__ == "__main__":
    sys.exit(main())
