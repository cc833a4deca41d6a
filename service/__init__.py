"""The speech service: the code that runs in the app container."""

import sys

VERSION = "0.1.0"  # also in build/__init__.py and pyproject.toml: a test compares them

if sys.argv[:1] == ["-m"]:  # sys.argv while `python -m service.x` locates its module: before any other import
    from service import interpreter

    interpreter.check()
