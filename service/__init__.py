"""The speech service: what runs in the container."""

import sys

if sys.argv[:1] == ["-m"]:  # so it is while `python -m service.x` looks for its module: before any other import
    from service import interpreter

    interpreter.check()
