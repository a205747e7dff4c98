"""`python -m tests.bench.inside PLAN`: does all the measuring, as the user whose jobs they are, and prints it as JSON.

`tests.bench` starts it beside a user manager, with that user's own small environment.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import beside, ends, launch, looking, output
from tests.bench.lab import SIZES, Broken, Lab, NotHere
from tests.bench.profile import profiles

# what is said while it goes on; the rows of the table that it fills; how
PARTS: list[tuple[str, list[str], Callable[[Lab], dict[str, Any]]]] = [
    ("launching", ["run_scope", "run_session", "submit"], launch.launching),
    ("many jobs", ["rate_scope", "rate_session"], launch.many),
    ("the supervisor", ["rss", "pss", "threads", "cpu", "cpu_watch"], beside.supervisor),
    ("output", ["output_scope", "output_session"], output.speed),
    ("status", ["status_some", "status_many", "status_growth", "status_json"], looking.status),
    ("cancel", ["cancel"], ends.cancel),
    ("OOM kills", ["oom_kernel", "oom_watch"], ends.oom),
    ("following a log", ["follow", "follow_terminal"], output.follower),
    ("the guard", ["guard"], looking.guard),
    ("where the time goes", ["profiles"], lambda lab: {"profiles": profiles(lab)}),
]


def measure(lab: Lab, only: list[str]) -> dict[str, Any]:
    """Everything that can be measured; what cannot is named with its reason, and hides nothing else."""
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for title, keys, part in PARTS:
        if not any(word in title for word in only):
            lab.left_out |= dict.fromkeys(keys, "not asked for")
            continue
        print(f"bench: {title}", file=sys.stderr)
        try:
            found |= part(lab)
        except NotHere as reason:
            lab.left_out |= dict.fromkeys(keys, str(reason))
        except Exception as error:
            # one figure that is broken must not take the others with it; it is named, and the exit status tells
            if not isinstance(error, Broken):
                traceback.print_exc()
            broken |= dict.fromkeys(keys, f"{type(error).__name__}: {error}")
            lab.end_jobs()
    return {"samples": found, "left_out": lab.left_out, "broken": broken}


def main() -> None:
    """Measures by the plan in the first argument."""
    plan = json.loads(sys.argv[1])
    lab = Lab(Path(plan["folder"]), SIZES[plan["sizes"]].within(plan["seconds"]), plan["scopes"], plan["memory"])
    os.chdir(lab.folder)
    try:
        print(json.dumps(measure(lab, plan["only"])))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        lab.end_jobs()


if __name__ == "__main__":
    main()
