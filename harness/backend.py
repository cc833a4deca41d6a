"""Stands in for a colour behind the proxy: says its name, or what it was sent, and waits for a sign when asked to."""

import http.server
import json
import os
import socketserver
import time
from pathlib import Path

GO_ON = Path("/tmp/go-on")  # noqa: S108 - inside a container of its own
NAME = os.environ["NAME"].encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        while self.headers.get("X-Wait") and not GO_ON.exists():
            time.sleep(0.02)
        said = json.dumps(self.headers.items()).encode() if self.path == "/v1/headers" else NAME
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.send_header("X-Release", "of-the-backend")
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("", 7860), Handler).serve_forever()
