"""The guard in scripts: which scripts lack it, and adding it. (`gravscope.guard` is what a guarded script runs.)"""
