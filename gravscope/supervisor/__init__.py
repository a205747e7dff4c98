"""The process beside each job: it starts the command, watches it, and alone writes the record until the end.

It imports from the standard library only C modules and `os`, because whatever it imports stays in memory as long as
the job runs. It imports nothing once the job has started, so that gravscope may be upgraded or deleted meanwhile.
Of the package it imports the rooms `base` and `linux` and the module `records.outcome`, which keep the same rule.
"""
