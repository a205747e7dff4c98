"""`python -m gravscope`: the same as the `gravscope` command."""

from gravscope.cli import main

main()
