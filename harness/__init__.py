"""Shared by integration tests, end-to-end tests and benchmarks: a separate stack, load, and audio checks."""
