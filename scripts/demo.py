"""The demo (`make demo`): a real fit as a job, how far it is, which model fits better, and what to try next."""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a plain file from a checkout: scripts/rep6/ and gravscope/ are found from here.
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rep6 import demo

if __name__ == "__main__":
    sys.exit(demo.main())
