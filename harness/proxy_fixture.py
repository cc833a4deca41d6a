"""The real HAProxy in front of backends that return their names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from build.agent_client import AgentClient
from build.docker.engine import DockerEngine
from build.errors import ProxyError
from build.proxy.haproxy import HAProxy
from build.state.cutover_lock import CutoverLock
from harness.addresses import free_port, free_subnet
from harness.stack import Stack, crash, wait_for

BACKEND = Path(__file__).with_name("backend.py").read_text()
HOLD_BUDGET_S = 3


@dataclass
class Door:
    """A separate proxy with two backends."""

    proxy: HAProxy
    url: str
    containers: dict[str, Any]
    inside: str
    at_first: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, **options)

    def post(self, path: str = "/v1/audio/speech", body: bytes = b"short", **options: Any) -> requests.Response:
        return requests.post(self.url + path, data=body, timeout=20, **options)

    def rotate(self, to: str) -> None:
        other = "green" if to == "blue" else "blue"
        self.proxy.set_admin(f"{to}-1", "ready")
        self.proxy.set_admin(f"{other}-1", "maint")
        wait_for(f"{to} alone", lambda: self.proxy.servers()[f"{to}-1"].usable)

    def crash(self) -> None:
        crash(self.containers["proxy"])
        wait_for("its socket", self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.proxy.servers())
        except ProxyError:
            return False


@contextlib.contextmanager
def opened(stack: Stack, published: str = "127.0.0.1") -> Iterator[Door]:
    """Run a proxy from a stack's images, with blue in rotation; its PUBLISHED is `published`."""
    client, port = stack.docker, free_port()
    prefix = free_subnet(client)
    labels = {"com.docker.compose.project": f"{stack.project}"}
    pool = {"Config": [{"Subnet": f"{prefix}.0/24"}]}
    network = client.networks.create(f"{stack.project}-door-{port}", ipam=pool, labels=labels)

    def run(name: str, address: str, image: Any, **options: Any) -> Any:
        container = client.containers.create(
            image, name=f"{stack.project}-door-{port}-{name}", labels=labels, **options
        )
        network.connect(container, ipv4_address=address)
        client.networks.get("bridge").disconnect(container)
        container.start()
        container.reload()
        return container

    app, proxy_image = f"glm-tts-slim:{stack.releases[0]}", stack.container("proxy").image
    containers = {
        name: run(name, f"{prefix}.{host}", app, command=["python", "-c", BACKEND], environment={"NAME": name})
        for name, host in (("blue", 11), ("green", 21))
    }
    volumes = {
        client.volumes.create(f"{stack.project}-door-{port}-{name}", labels=labels).name: {"bind": folder}
        for name, folder in (("socket", "/run/haproxy"), ("state", "/var/lib/haproxy"))
    }
    containers["proxy"] = run(
        "proxy",
        f"{prefix}.2",
        proxy_image,
        environment={"SUBNET_PREFIX": prefix, "HOLD_BUDGET_S": str(HOLD_BUDGET_S), "PUBLISHED": published},
        ports={"8080/tcp": ("127.0.0.1", port)},
        restart_policy={"Name": "always"},
        volumes=volumes,
    )
    containers["agent"] = run(
        "agent", f"{prefix}.3", proxy_image, entrypoint=["tini", "--", "python3", "-m", "agent"], volumes=volumes
    )
    agent = AgentClient(containers["agent"].name)
    proxy = HAProxy(DockerEngine(), containers["proxy"].name, agent)
    door = Door(proxy, f"http://127.0.0.1:{port}", containers, f"{prefix}.2:8080")
    wait_for("the proxy", door.answers)
    door.at_first = {name: server.admin for name, server in proxy.servers().items()}
    with CutoverLock(agent).held("door"):
        yield door
    for container in containers.values():
        container.remove(force=True, v=True)
    for name in volumes:
        client.volumes.get(name).remove()
    network.remove()
