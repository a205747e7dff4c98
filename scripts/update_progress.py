"""Append a progress note: update_progress.py --rate 50 --note "途中経過".

The note (time, rate from 0 to 100, text) goes into data/results/progress.json and is shown on the index page when
build_state_of_the_art.py runs next. It computes nothing and needs no model, so it has no guard and runs anywhere. It
belongs to the example workload of a job launcher, which makes no claim about gravity.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a plain file from any folder: scripts/rep6/ is found from here.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from rep6 import progress_log

if __name__ == "__main__":
    sys.exit(progress_log.main("update_progress", "Append a progress note."))
