"""The service over real HTTP, in this process or (as a module) in a separate one, and its scraped metrics."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from harness.plain_http import PLAIN
from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine, Hurried


class HurriedUvicorn(Hurried, uvicorn.Server):
    """uvicorn's server."""


@contextlib.asynccontextmanager
async def served(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Serve on a free port and yield a client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Connections inherit it. asyncio sets it only for sockets that name their protocol; this one does not.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = HurriedUvicorn(uvicorn.Config(service.asgi, lifespan="off", log_config=None, access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=30, verify=PLAIN) as client:
                yield client
        finally:
            server.should_exit = True
            await task


@dataclass
class Scrape:
    """One response of /metrics."""

    families: dict[str, Metric]
    series: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def __call__(self, name: str, /, **labels: str) -> float | None:
        """Return the value of a series, or None if it does not exist."""
        return self.series.get((name, tuple(sorted(labels.items()))))


def parsed(text: str) -> Scrape:
    """Parse the exposition text with the parser of Prometheus."""
    families = list(text_string_to_metric_families(text))
    samples = [sample for family in families for sample in family.samples]
    series = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(series) == len(samples), "a series occurs twice"
    return Scrape({family.name: family for family in families}, series)


async def scraped(client: httpx.AsyncClient) -> Scrape:
    """Scrape /metrics."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return parsed(response.text)


async def _main(folder: Path) -> None:
    settings = dataclasses.replace(Settings.from_env(os.environ), control=folder / "c.sock", release="test-1")
    service = Service(settings, FakeEngine())
    await service.lifecycle.load()
    async with served(service) as client:
        sys.stdout.write(f"{client.base_url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    await service.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
