"""A runtime socket that behaves as HAProxy's: it keeps server states and the hold mode, and can be silent or gone."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STATES = "1\n# be_id be_name srv_id srv_name srv_admin_state\n"


@dataclass
class Runtime:
    """What the proxy was told, in order, and its hold mode."""

    path: Path
    commands: list[str] = field(default_factory=list)
    mode: str = "none"
    silent: bool = False

    def run(self, command: str) -> str:
        if command.startswith("show servers state"):
            return f"{STATES}\n"
        if command.startswith("hold"):
            self.mode = command.removeprefix("hold").strip() or self.mode
            return f"{self.mode} 0\n"
        self.commands.append(command)
        return "\n"


@contextmanager
def runtime(folder: Path) -> Iterator[Runtime]:
    """Serve a runtime socket in a folder for the block."""
    proxy = Runtime(folder / "admin.sock")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            commands = self.rfile.readline().decode().strip().split(";")
            if not proxy.silent:
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write("".join(map(proxy.run, commands)).encode())

    with socketserver.ThreadingUnixStreamServer(str(proxy.path), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        server.shutdown()
