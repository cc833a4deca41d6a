"""The control socket's client: status, drain, resume, load, unload. One JSON line asks, one answers.

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

COMMANDS = ("status", "drain", "resume", "load", "unload")


def ask(path: Path, command: str, timeout_s: float) -> dict[str, Any]:
    """Send one command to the socket at `path`; raise OSError or ValueError when there is no sound answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(str(path))
        client.sendall(json.dumps({"command": command}).encode() + b"\n")
        with client.makefile("rb") as lines:
            reply = json.loads(lines.readline())
    if not isinstance(reply, dict):
        raise ValueError("the answer is no JSON object")
    return reply


def main() -> int:
    """The client's command line."""
    parser = argparse.ArgumentParser(prog="python -m service.control", description="Ask or tell the running service.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait (default: %(default)g)")
    arguments = parser.parse_args()
    try:
        path = Settings.from_env(os.environ).control
        reply = ask(path, arguments.command, arguments.timeout)
    except (SettingsError, OSError, ValueError) as error:
        reply = {"refused": f"no answer from the control socket: {error}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 1 if "refused" in reply else 0


if __name__ == "__main__":
    sys.exit(main())
