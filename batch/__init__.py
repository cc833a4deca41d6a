"""The batch client: sends many texts to one service and writes zip shards; an interruption loses no finished shard."""

import sys

if sys.argv[:1] == ["-m"]:  # sys.argv while `python -m batch` locates its module: before any other import
    from service import interpreter

    interpreter.check()
