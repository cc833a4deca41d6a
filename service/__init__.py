"""The speech service: the code that runs in the app container."""

import sys

if sys.argv[:1] == ["-m"]:  # sys.argv while `python -m service.x` locates its module: before any other import
    from service import interpreter

    interpreter.check()
