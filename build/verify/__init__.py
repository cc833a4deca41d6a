"""Looks into a built image: what it must and must not hold, and the verdicts that are kept of it."""
