"""Keeping the folders of records and logs in order: what has ended may be removed, and nothing else ever is."""
