"""Stands in for a colour behind the proxy: says its name, and waits for a sign first when asked to."""

import http.server
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
        self.send_response(200)
        self.send_header("Content-Length", str(len(NAME)))
        self.end_headers()
        self.wfile.write(NAME)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("", 7860), Handler).serve_forever()
