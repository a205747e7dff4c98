"""Where a setting comes from: every setting there is, the files and variables that set it, and which of them wins.

It imports `base`. What a setting does belongs to whoever reads it.
"""
