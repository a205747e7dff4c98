"""Changes to a running job: cancel, pause and resume, limit.

Before a process is signalled, it is proven to be the job's. This room imports `look`, which finds a job's state.
"""
