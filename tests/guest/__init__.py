"""Tests in a whole machine: see README.md."""
