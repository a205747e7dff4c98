"""Changing a job that runs: cancel, pause and resume, limit.

Whatever is signalled here is proven to be the job's before. It imports `look`, which tells how a job stands.
"""
