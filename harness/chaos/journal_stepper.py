"""The real `python -m build.cutover`, which stands still after each journal record until it is told to go on.

`python -m harness.chaos.journal_stepper SOCKET ARGUMENT...`: whoever listens at the Unix socket SOCKET is told of each
record once it is on the target's disk, and answers with a line when this may go on. The product knows nothing of it.
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

    def told(self: Journal, **record: Any) -> None:
        # Without an open stream `append` opens one and calls itself, that is, this: once is enough.
        nested = self._session is None
        append(self, **record)
        if not nested:
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            stream.readline()

    Journal.append = told  # type: ignore[method-assign]  # the seam is here, and not in the product
    sys.argv[1:] = arguments
    console.main(__main__.app)


if __name__ == "__main__":
    main()
