"""Locks of all package versions: write them, detect stale ones, compare them, and check that versions fit together."""
