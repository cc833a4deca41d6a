"""The control socket's client: status, drain, resume, load, unload, cut CLASS. One JSON line asks, one answers.

The answer is the status; a command that was refused adds {"refused": <why>}, and the client then exits with 1.
Standard library only, so that it starts fast.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from service.settings import Settings, SettingsError

COMMANDS = ("status", "drain", "resume", "load", "unload", "cut")
CLASSES = ("short", "long", "stream", "batch")


def ask(path: Path, command: str, timeout_s: float, **details: Any) -> dict[str, Any]:
    """Send one command to the socket at `path`; raise OSError or ValueError when there is no sound answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(str(path))
        client.sendall(json.dumps({"command": command} | details).encode() + b"\n")
        with client.makefile("rb") as lines:
            reply = json.loads(lines.readline())
    if not isinstance(reply, dict):
        raise ValueError("the answer is no JSON object")
    return reply


def main() -> int:
    """The client's command line."""
    parser = argparse.ArgumentParser(prog="python -m service.control", description="Ask or tell the running service.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("kind", metavar="CLASS", nargs="?", choices=CLASSES, help="what to cut: " + ", ".join(CLASSES))
    parser.add_argument("--waiting", action="store_true", help="cut only what has not begun to be spoken")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait (default: %(default)g)")
    arguments = parser.parse_args()
    cut = arguments.command == "cut"
    if cut != bool(arguments.kind) or (arguments.waiting and not cut):
        parser.error("cut, and nothing else, takes a class, and --waiting")
    details = {"class": arguments.kind, "waiting": arguments.waiting} if cut else {}
    try:
        path = Settings.from_env(os.environ).control
        reply = ask(path, arguments.command, arguments.timeout, **details)
    except (SettingsError, OSError, ValueError) as error:
        reply = {"refused": f"no answer from the control socket: {error}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 1 if "refused" in reply else 0


if __name__ == "__main__":
    sys.exit(main())
