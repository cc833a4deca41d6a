"""The real `python -m build.cutover`, paused after each journal record: `... journal_stepper SOCKET ARGUMENT...`.

It writes each record to the Unix socket SOCKET once the record is on the target's disk, and continues after a line of
response. The orchestrator has no code for it.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from build import console
from build.cutover import __main__
from build.state.journal import Journal


def main() -> None:
    path, *arguments = sys.argv[1:]
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    stream = link.makefile("rw")
    append = Journal.append

    def append_and_pause(self: Journal, **record: Any) -> None:
        append(self, **record)
        stream.write(json.dumps(record) + "\n")
        stream.flush()
        stream.readline()

    Journal.append = append_and_pause  # type: ignore[method-assign]  # the orchestrator has no hook for tests
    sys.argv[1:] = arguments
    console.main(__main__.app)


if __name__ == "__main__":
    main()
