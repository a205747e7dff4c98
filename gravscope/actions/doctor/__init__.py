"""What this machine can do for jobs, found out by doing it.

`probes` asks and gives `facts`; `lines` and `machine` decide what is said of them, and are pure; `trial` starts a real
scope; `fix` mends what needs no privilege. It imports `units` for the files that systemd should have.
"""
