"""systemd's unit files: writes them, compares them with the installed ones, and removes them."""
