"""The batch client: many texts to one service, into zip shards, so that a stop at any moment loses nothing."""

import sys

if sys.argv[:1] == ["-m"]:  # so it is while `python -m batch` looks for its module: before any other import
    from service import interpreter

    interpreter.check()
