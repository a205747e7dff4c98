"""Values and text. Every other room may import this one.

Errors with their exit statuses, immutable values, times and sizes as text, JSON without `json`, redaction of secrets,
and the start of a program. It imports the standard library only, and no other room. Code that knows about jobs,
gravscope's files or running processes does not belong here.
"""
