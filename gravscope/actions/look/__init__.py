"""Looking at jobs: how each stands, its log, waiting for its end, and settling a record that nobody is in charge of.

Nothing here changes a job that runs. It imports no other folder of `actions`.
"""
