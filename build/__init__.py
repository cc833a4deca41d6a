"""The orchestrator: a commit becomes an image, the image a candidate, the candidate goes live once it has spoken."""

import sys

if sys.argv[:1] == ["-m"]:  # so it is while `python -m build.x` looks for its module: before any other import
    from build import interpreter

    interpreter.check()
