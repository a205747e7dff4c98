"""A command line read without Typer, which takes 40 ms to load: the parser, and the table that it reads by.

`table` is made of the Typer application by `scripts/build_table.py`. What is not plainly right is left to Typer.
"""
