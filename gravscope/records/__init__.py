"""What is on disk: the record of a job, its id, its states, and the folder of records.

`outcome` decides from evidence how a job ended, and is pure. `store` reads and writes records. `folder` knows the names
of the files and the locks, and is all that a launch needs. This room imports `base`, `linux` and `settings`. Code that
starts, signals or inspects processes does not belong here.
"""
