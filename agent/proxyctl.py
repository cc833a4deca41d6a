"""`proxyctl read|change COMMAND...`, for operators and tests: run HAProxy's runtime commands, one per argument.

`change` then saves server states and the hold mode. It does not ask for the cutover lock: an operator who changes the
proxy by hand during a cutover works against it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.haproxy import HAProxy
from agent.protocol import RefusedError

USAGE = "usage: proxyctl read|change COMMAND..."


def main(arguments: list[str]) -> int:
    """Run the command line; return 1 if the proxy does not answer, 2 for a wrong usage."""
    mode, *commands = arguments or [""]
    proxy = HAProxy(Path("/run/haproxy/admin.sock"), Path("/var/lib/haproxy"))
    runs = {"read": proxy.ask, "change": proxy.change}
    if mode not in runs or not commands:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        sys.stdout.write(runs[mode](commands))
    except RefusedError as refused:
        sys.stderr.write(f"error: {refused.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
