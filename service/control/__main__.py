"""Client of the control socket: status, drain, resume, load, unload, cut CLASS.

It prints the reply and exits with 1 if the service refused the command. The variable CONTROL_EPOCH is the epoch of the
sender's lock; the service refuses an older one than it has seen. Standard library only, to start fast.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from service.control.protocol import CLASSES, COMMANDS, send_command
from service.settings import Settings, SettingsError


def main() -> int:
    """Run the client's command line."""
    parser = argparse.ArgumentParser(
        prog="python -m service.control", description="Send a command to the running service."
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "kind", metavar="CLASS", nargs="?", choices=CLASSES, help="requests to abort: " + ", ".join(CLASSES)
    )
    parser.add_argument("--waiting", action="store_true", help="abort only requests whose synthesis has not started")
    parser.add_argument(
        "--timeout", type=float, default=600.0, help="longest wait for the reply in seconds (default: %(default)g)"
    )
    arguments = parser.parse_args()
    cut = arguments.command == "cut"
    if cut != bool(arguments.kind) or (arguments.waiting and not cut):
        parser.error("cut requires CLASS; no other command accepts CLASS or --waiting")
    epoch = os.environ.get("CONTROL_EPOCH", "")
    if epoch and not epoch.isdecimal():
        parser.error(f"CONTROL_EPOCH must be a whole number, not {epoch!r}")
    details: dict[str, Any] = {"class": arguments.kind, "waiting": arguments.waiting} if cut else {}
    if epoch:
        details["epoch"] = int(epoch)
    try:
        path = Settings.from_env(os.environ).control
        reply = send_command(path, arguments.command, arguments.timeout, **details)
    except (SettingsError, OSError, ValueError) as error:
        reply = {"refused": f"no reply from the control socket: {error}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 1 if "refused" in reply else 0


if __name__ == "__main__":
    sys.exit(main())
