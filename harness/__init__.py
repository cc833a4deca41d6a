"""Shared by integration tests, end-to-end tests and benchmarks: a separate stack, load, and audio checks.

Tests and benchmarks import this before all else of theirs, so that bytecode is kept for what they import and start.
"""

import os
import sys
from pathlib import Path

BYTECODE = Path(__file__).resolve().parents[1] / ".cache" / "bytecode"

if sys.dont_write_bytecode:
    # Set on many build machines, to keep clones clean. Without any bytecode each run of the tests compiles 2,700
    # modules (6 s of processor time), and each command that a test starts another 600 (0.8 s).
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(BYTECODE)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # absent where python -B was given
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
