"""Protocol of the control socket: one JSON line as the request, one as the reply.

The reply is the status; a refused command adds {"refused": <reason>}. Standard library only, so that clients start
fast.
"""

from __future__ import annotations

import json
import socket
from os import PathLike
from typing import Any

COMMANDS = ("status", "drain", "resume", "load", "unload", "cut")
CLASSES = ("short", "long", "stream", "batch")


def send_command(path: str | PathLike[str], command: str, timeout_s: float, **details: Any) -> dict[str, Any]:
    """Send one command to the socket at `path`; raise OSError or ValueError if there is no valid reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(str(path))
        client.sendall(json.dumps({"command": command} | details).encode() + b"\n")
        with client.makefile("rb") as lines:
            reply = json.loads(lines.readline())
    if not isinstance(reply, dict):
        raise ValueError("the reply is not a JSON object")
    return reply
