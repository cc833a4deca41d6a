"""Stand-in for a colour behind the proxy: returns its name or the request's headers; X-Wait delays the response."""

import http.server
import json
import os
import socketserver
import time
from pathlib import Path

RELEASE_FILE = Path("/tmp/go-on")  # noqa: S108 - inside its container
NAME = os.environ["NAME"].encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        while self.headers.get("X-Wait") and not RELEASE_FILE.exists():
            time.sleep(0.02)
        content = json.dumps(self.headers.items()).encode() if self.path == "/v1/headers" else NAME
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Release", "of-the-backend")
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("", 7860), Handler).serve_forever()
