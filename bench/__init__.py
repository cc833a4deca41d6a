"""Benchmarks against other tools: `python -m bench` prints the figures of docs/benchmarks.md."""

import build  # noqa: F401 - first, so that an unsuitable Python is reported (build/interpreter.py)
