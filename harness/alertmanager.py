"""A real Alertmanager (Debian's) in a separate container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from harness import images
from harness.addresses import free_port
from harness.stack import Stack, wait_for

TAG = "glm-tts-test-alertmanager"
ALERTMANAGER = """FROM {os_image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends prometheus-alertmanager \\
 && rm -rf /var/lib/apt/lists/*
RUN printf 'route: {receiver: none}\\nreceivers: [{name: none}]\\n' >/etc/none.yml
CMD ["prometheus-alertmanager", "--config.file=/etc/none.yml", "--storage.path=/tmp", "--cluster.listen-address="]
"""


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager; `url` is its address."""

    url: str

    def alerts(self) -> list[dict[str, Any]]:
        """Return the firing alerts; resolved ones are not included."""
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", timeout=5).json()
        return found

    def post(self, **labels: str) -> None:
        """Post an alert of another client."""
        requests.post(f"{self.url}/api/v2/alerts", json=[{"labels": labels}], timeout=5).raise_for_status()

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.RequestException:
            return False


@contextmanager
def running_alertmanager(stack: Stack) -> Iterator[Alertmanager]:
    """Run an Alertmanager without alerts until the end of the context."""
    images.build(TAG, ALERTMANAGER)
    port = free_port()
    container = stack.docker.containers.run(
        TAG,
        detach=True,
        ports={"9093/tcp": ("127.0.0.1", port)},
        labels={"com.docker.compose.project": stack.project},
    )
    try:
        manager = Alertmanager(f"http://127.0.0.1:{port}")
        wait_for("Alertmanager", manager.ready)
        yield manager
    finally:
        container.remove(force=True, v=True)
