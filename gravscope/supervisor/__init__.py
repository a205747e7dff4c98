"""The process beside each job: it starts the command, watches it, and alone writes the record until the end.

Standard library only, and of that only C modules and `os`: whatever it imports stays in memory as long as the job
runs. It imports nothing once the job has started, so that gravscope may be upgraded or deleted meanwhile.
It reaches `proc`, `cgroup`, `files` and `outcome` of the package, which keep the same rule, and nothing else.
"""
