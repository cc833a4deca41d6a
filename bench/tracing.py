"""`python -m bench.tracing [PAIRS]`: the cost of traces. Two services answer in turns, without a stack; one exports.

The time beyond the engine's own work on the same response has none of the engine's noise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Annotated

import typer

from bench.http_client import Client
from bench.lone_service import LoneServer, lone_service
from build import console
from build.console import out

app = console.app("Measure what traces cost, on two services without a stack.")
TEXT = "Good morning to you."
FIRST = 10  # pairs that do not count


class _Collector(BaseHTTPRequestHandler):
    """Receives traces and drops them."""

    def do_POST(self) -> None:
        """Accept one batch."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@dataclass
class _Service:
    client: Client
    server: LoneServer
    beyond_ms: list[float] = field(default_factory=list)

    def synthesize(self) -> None:
        response = self.client.synthesize(TEXT)
        self.beyond_ms.append(1e3 * (response.took_s - response.worked_s))


@contextmanager
def _collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def _service(**environment: str) -> Iterator[_Service]:
    with lone_service(**environment) as server, closing(Client(server.url)) as client:
        yield _Service(client, server)


@app.command()
def main(pairs: Annotated[int, typer.Argument(min=1, help="pairs of requests")] = 200) -> None:
    """Print medians over `pairs` pairs: time beyond the engine's work, and CPU time of a request with its engine."""
    with ExitStack() as stack:
        url = stack.enter_context(_collector())
        plain = stack.enter_context(_service())
        traced = stack.enter_context(_service(OTEL_EXPORTER_OTLP_ENDPOINT=url))
        for number in range(FIRST + pairs):
            if number == FIRST:
                before = [service.server.cpu_s for service in (plain, traced)]
            for service in (plain, traced) if number % 2 else (traced, plain):
                service.synthesize()
        cpu = [1e3 * (service.server.cpu_s - was) / pairs for service, was in zip((plain, traced), before, strict=True)]
    without, with_traces = plain.beyond_ms[FIRST:], traced.beyond_ms[FIRST:]
    added = median(one - other for one, other in zip(with_traces, without, strict=True))
    out.print(
        f"beyond the engine's work, medians of {pairs} pairs: without traces {median(without):.2f} ms, with traces "
        f"{median(with_traces):.2f} ms, added {added:.2f} ms; CPU time a request {cpu[0]:.1f} and {cpu[1]:.1f} ms"
    )


if __name__ == "__main__":
    console.main(app)
