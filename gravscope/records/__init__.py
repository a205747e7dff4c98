"""What is on disk: the record of a job, its id, its states, and the folder in which records stand.

`outcome` decides from evidence how a job ended, and is pure. `store` reads and writes records; `folder` has their names
and locks, and is all that a launch needs. It imports `base`, `linux` and `settings`. What starts, signals or asks a
process does not belong here.
"""
