"""All settings, the files and variables that set them, and which place wins.

This room imports `base`. What a setting does is up to the code that reads it.
"""
