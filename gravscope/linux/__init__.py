"""Access to the kernel's interfaces: processes (/proc), control groups (cgroup v2), files and locks.

It imports `base` and small modules of the standard library: the supervisor keeps them in memory as long as a job runs.
What systemd knows belongs to `systemd`, and what a job's record says to `records`.
"""
