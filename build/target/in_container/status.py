"""Print the status that the container's service reports on its control socket (`python -I -S -c` in the container).

It is free of the service's modules and of json: a poll must cost little CPU time, since it takes it from the candidate.
"""

import os
import socket
import sys


def main(timeout_s: float) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.connect(os.environ.get("TTS_CONTROL") or "/run/service/control.sock")
        client.sendall(b'{"command": "status"}\n')
        reply = b""
        while not reply.endswith(b"\n") and (received := client.recv(65536)):
            reply += received
    sys.stdout.write(reply.decode())


try:
    main(float(sys.argv[1]))
except OSError as error:
    sys.exit(f"no reply from the control socket: {error}")
