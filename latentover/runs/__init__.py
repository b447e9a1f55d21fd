"""Finished runs on disk, and the store of their results."""
