"""The orchestrator: it builds images from a commit, checks them as a candidate, and makes them live."""

import sys

VERSION = "0.1.0"  # also in service/__init__.py and pyproject.toml: a test compares them

if sys.argv[:1] == ["-m"]:  # only while `python -m build.x` looks for its module: before any other import
    from build import interpreter

    interpreter.check()
