"""Starting a job: from what was typed to a spec, from a spec to a process, and what is recorded of it.

`launch` is what stands between a user and every job: it loads nothing that a launch which goes well can do without. It
imports all rooms above `actions`, and `look` for what is rare. Changing a job that runs belongs to `control`.
"""
