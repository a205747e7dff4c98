"""A private, real `systemd --user` for the tests, on a machine whose first process is not systemd."""
