"""Exit of a process that used py-rattler."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def exit_process(code: int) -> NoReturn:
    """Flush the output and exit with `code`, without finalizing the interpreter.

    py-rattler's worker threads may still hold a thread state when a call's result has arrived. If the interpreter is
    finalizing then, the process aborts after its work is done: "PyGILState_Release: thread state must be current when
    releasing", exit code 134.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
