"""Values and text: what every other room may use, and what uses nothing.

Errors with their exit statuses, immutable values, times and sizes as text, JSON without `json`, redaction of secrets,
and the start of a program. It imports the standard library only, and no other room. What knows of a job, a file of ours
or a process does not belong here.
"""
