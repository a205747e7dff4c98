"""The tests that run in the guest."""
