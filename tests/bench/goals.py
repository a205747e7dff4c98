"""The goals: what `make bench` measures, and what it is held against."""

from __future__ import annotations

from tests.bench.figures import Goal

SCOPE_PEER = "`systemd-run --user --scope -q true`"

CPU = "at most 0.05 % of a core at one sample a second"

# {…} are the sizes of the run, of which --quick takes smaller ones
GOALS = [
    Goal(
        "run_scope",
        "`run -- true`, back with the job confirmed started, scope",
        f"at most 8× {SCOPE_PEER}",
        8,
        "ratio",
        "s",
    ),
    Goal("run_session", "the same, session", "at most 20× `setsid nohup true`", 20, "ratio", "s"),
    Goal("submit", "`submit()` from Python, in process, scope", f"at most 4× {SCOPE_PEER}", 4, "ratio", "s"),
    Goal(
        "rate_scope",
        "{jobs} trivial jobs from one process, scope",
        "at least 40 jobs/s on two cores",
        40,
        "median",
        "jobs/s",
        True,
    ),
    Goal("rate_session", "the same, session", "at least 40 jobs/s on two cores", 40, "median", "jobs/s", True),
    Goal("rss", "supervisor: resident memory", "at most 10 MB", 10e6, "worst", "B"),
    Goal("pss", "supervisor: proportional memory", "at most 6 MB", 6e6, "worst", "B"),
    Goal("threads", "supervisor: threads", "1", 1, "worst", ""),
    Goal("cpu", "supervisor: CPU while the job runs", CPU, 0.05, "worst", "%"),
    Goal("cpu_watch", "the same, where it watches `--mem-max` itself", CPU, 0.05, "worst", "%"),
    Goal(
        "output_scope",
        "job output of {output} to the log, scope",
        "at least 0.97 of `nohup cmd > file`",
        0.97,
        "inverse",
        "s",
        True,
    ),
    Goal("output_session", "the same, session", "at least 0.97 of `nohup cmd > file`", 0.97, "inverse", "s", True),
    Goal("status_some", "`status` with {some} ended records and {live} live", "at most 0.3 s", 0.3, "median", "s"),
    Goal("status_many", "`status` with {many} ended records and {live} live", "at most 1 s", 1, "median", "s"),
    Goal(
        "status_growth",
        "`status` grows with live jobs, not with history",
        "an ended record costs at most 1 % of a live job",
        1,
        "growth",
        "%",
    ),
    Goal("status_json", "`status --json` of {live}", "at most 0.1 s", 0.1, "median", "s"),
    Goal(
        "cancel", "cancel until no process is left, scope", "at most `systemctl --user stop` + 60 ms", 0.06, "over", "s"
    ),
    Goal("oom_kernel", "OOM kill until the record says so, kernel", "at most 0.3 s (guest: 2 s)", 0.3, "median", "s"),
    Goal("oom_watch", "the same, where the supervisor watches", "at most 0.3 s", 0.3, "median", "s"),
    Goal(
        "follow", "log follower: line written until printed, pipe", "at most 50 ms (95th percentile)", 0.05, "p95", "s"
    ),
    Goal("follow_terminal", "the same, terminal", "at most 50 ms (95th percentile)", 0.05, "p95", "s"),
    Goal("guard", "guard import and check", "at most 1 ms over bare Python", 0.001, "over", "s"),
]
