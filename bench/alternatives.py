"""Other ways to release the same images, each behind one URL: the comparison of `python -m bench switch`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from build.system import command
from harness.addresses import free_port
from harness.nested import nested_engine
from harness.stack import REPOSITORY, Stack, wait_for

PATIENCE_S = 600
GRACE_S = 150
DIRECT = """\
name: {project}-{name}
services:
  app:
    image: ${{IMAGE}}
    {ports}
    stop_grace_period: 150s
"""
BEHIND = """\
  proxy:
    image: {proxy}
    ports: ["127.0.0.1:{port}:8080"]
    volumes: ["{config}:/etc/haproxy/haproxy.cfg:ro"]
    environment: {{SUBNET_PREFIX: "{prefix}"}}
"""
NOWHERE = "192.0.2"  # documentation addresses (RFC 5737) for the slots, which do not exist here
# Servers that change their address are found by name: DNS is queried twice a second, so a change is known within one.
RESOLVERS = """
resolvers engine
    nameserver dns 127.0.0.11:53
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
"""
SERVERS = "    server-template app- 4 app:7860 resolvers engine init-addr none\n"


@dataclass(frozen=True)
class ReleaseMethod:
    """One way to release: `deploy` makes a commit's image live at `url` and returns when the tool reports success."""

    name: str
    url: str
    deploy: Callable[[str], None]


def image(sha: str) -> str:
    return f"glm-tts-slim:{sha}"


@contextlib.contextmanager
def in_place(stack: Stack, first: str) -> Iterator[ReleaseMethod]:
    """One container that Compose recreates: the usual first solution."""
    port = free_port()
    ports = f'ports: ["127.0.0.1:{port}:7860"]'
    with _composed(stack, "in-place", ports, "", first) as (compose, env):
        url = f"http://127.0.0.1:{port}"

        def deploy(sha: str) -> None:
            command.run([*compose, "up", "--detach"], env=env(sha), timeout_s=PATIENCE_S)
            wait_for("the service", lambda: responds(url))

        deploy(first)
        yield ReleaseMethod("docker compose up -d, in place", url, deploy)


@contextlib.contextmanager
def rollout(stack: Stack, first: str, script: Path) -> Iterator[ReleaseMethod]:
    """docker-rollout: two containers for a while, found by name behind this project's own proxy."""
    port = free_port()
    folder = stack.root.parent
    config = _proxy_config(folder / "rollout.cfg")
    proxy = BEHIND.format(proxy=_proxy_image(stack), port=port, config=config, prefix=NOWHERE)
    with _composed(stack, "rollout", "", proxy, first) as (compose, env):
        url = f"http://127.0.0.1:{port}"
        command.run([*compose, "up", "--detach"], env=env(first), timeout_s=PATIENCE_S)
        wait_for("the service", lambda: responds(url), PATIENCE_S)
        rollout_command = ["sh", str(script), "rollout", "--file", compose[-1], "--timeout", str(PATIENCE_S), "app"]
        yield ReleaseMethod("docker-rollout", url, lambda sha: _run(rollout_command, env(sha)))


@contextlib.contextmanager
def swarm(stack: Stack, first: str, other: str) -> Iterator[ReleaseMethod]:
    """A Swarm service that starts the new task first, behind the same proxy, on a separate engine."""
    with nested_engine(project=stack.project) as nested:
        proxy = _proxy_image(stack)
        nested.load(image(first), image(other), proxy)
        nested.run("docker", "swarm", "init")
        nested.run("docker", "network", "create", "--driver", "overlay", "tts")
        nested.run("docker", "config", "create", "proxy", str(_proxy_config(nested.folder / "haproxy.cfg")))
        # No virtual address: it needs IPVS in the kernel. The proxy queries the tasks themselves.
        common = ["--network", "tts", "--endpoint-mode", "dnsrr", "--no-resolve-image", "--detach=false", "--quiet"]
        app = ["--name", "app", "--update-order", "start-first", "--stop-grace-period", f"{GRACE_S}s"]
        nested.run("docker", "service", "create", *common, *app, image(first))
        proxy_options = ["--name", "proxy", "--publish", "mode=host,target=8080,published=8080"]
        proxy_options += [
            "--env",
            f"SUBNET_PREFIX={NOWHERE}",
            "--config",
            "source=proxy,target=/etc/haproxy/haproxy.cfg,mode=0444",
        ]
        nested.run("docker", "service", "create", *common, *proxy_options, proxy)
        url = f"http://{_address(stack, nested.container)}:8080"
        wait_for("the service", lambda: responds(url), PATIENCE_S)
        update = ["docker", "service", "update", "--no-resolve-image", "--detach=false", "--quiet"]
        yield ReleaseMethod(
            "Swarm, start-first", url, lambda sha: _run([*update, "--image", image(sha), "app"], nested.env)
        )


def responds(url: str) -> bool:
    """Return whether a release responds at the URL."""
    try:
        return requests.get(f"{url}/v1/models", timeout=2).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def _composed(
    stack: Stack, name: str, ports: str, proxy: str, first: str
) -> Iterator[tuple[list[str], Callable[[str], dict[str, str]]]]:
    """Yield a separate Compose project: its command, and the environment that names a commit's image."""
    file = stack.root.parent / f"{name}.yaml"
    file.write_text(DIRECT.format(project=stack.project, name=name, ports=ports) + proxy)
    compose = ["docker", "compose", "--file", str(file)]

    def env(sha: str) -> dict[str, str]:
        return {**os.environ, "IMAGE": image(sha)}

    try:
        yield compose, env
    finally:
        command.run([*compose, "down", "--timeout", "10"], env=env(first), timeout_s=PATIENCE_S)


def _run(argv: list[str], env: dict[str, str]) -> None:
    command.run(argv, env=env, timeout_s=PATIENCE_S)


def _proxy_image(stack: Stack) -> str:
    return str(stack.container("proxy").attrs["Config"]["Image"])


def _proxy_config(path: Path) -> Path:
    """Write this project's proxy configuration with servers found by name; timeouts, checks and retries are the same.

    It omits the slots, their saved state and the gate, which only the orchestrator controls.
    """
    text = (REPOSITORY / "proxy/haproxy.cfg").read_text()
    lines = [
        line
        for line in text.splitlines(keepends=True)
        if not re.search(r"^\s*(server |.*lua|server-state-file|load-server-state|cookie COLOUR)", line)
    ]
    path.write_text("".join(lines) + SERVERS + RESOLVERS)
    path.chmod(0o644)
    return path


def _address(stack: Stack, container: str) -> str:
    networks = stack.docker.containers.get(container).attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])
