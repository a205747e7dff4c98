"""What the kernel tells: processes (/proc), control groups (cgroup v2), files and locks.

Standard library only, and of that only what is small: the supervisor has these modules in memory as long as a job runs.
It imports `base`. What systemd knows belongs to `systemd`, and what a job's record says to `records`.
"""
