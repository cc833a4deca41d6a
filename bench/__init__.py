"""Benchmarks against other tools: `python -m bench` prints the figures of docs/benchmarks.md."""

import build  # noqa: F401 - first, so that an unsuitable Python is reported (build/interpreter.py)
import harness  # noqa: F401 - keeps bytecode, as an operator's commands have it
