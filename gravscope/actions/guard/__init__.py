"""The guard in scripts: finds scripts without it, and adds it. (Guarded scripts import `gravscope.guard`.)"""
