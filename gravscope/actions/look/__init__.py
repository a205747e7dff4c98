"""Looking at jobs: their states, their logs, waiting for their ends, and settling records that nobody is in charge of.

Nothing here changes a running job. This room imports no other folder of `actions`.
"""
