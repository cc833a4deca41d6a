"""Stands in for a colour behind the proxy: says its name, answers slowly when asked to. Runs inside a container."""

import http.server
import os
import socketserver
import time

NAME = os.environ["NAME"].encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(float(self.headers.get("X-Slow", 0)))
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
