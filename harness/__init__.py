"""What integration, end-to-end tests and benchmarks share: a stack of their own, load, and ears."""
