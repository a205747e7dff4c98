"""Unit files that systemd reads: written, compared with what is installed, and removed."""
