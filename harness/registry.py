"""A real registry (Debian's docker-registry) in a separate container."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import requests
from testcontainers.core.container import DockerContainer

from harness import images
from harness.addresses import free_port
from harness.stack import wait_for
from harness.tokens import Tokens

# testcontainers' reaper, Ryuk, is an image on Docker Hub. Every container here ends with its context.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

TAG = "glm-tts-test-registry"
STORAGE = "/var/lib/docker-registry"
CERTIFICATE = "/etc/docker/registry/issuer.pem"
ENGINE_LIMIT_S = 300  # a busy engine took more than docker-py's 60 s to remove a container
USER, PASSWORD = "runner", "correct horse"
# Debian's configuration requires a password; tests configure their own.
REGISTRY = f"""FROM {{os_image}}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends apache2-utils docker-registry \\
 && rm -rf /var/lib/apt/lists/*
RUN sed -i '/^auth:/,/path:/d' /etc/docker/registry/config.yml \\
 && htpasswd -Bbc /etc/docker/registry/htpasswd {USER} '{PASSWORD}'
VOLUME {STORAGE}
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"""


@dataclass(frozen=True)
class Running:
    """A running registry at `host` (host:port), or one namespace of it."""

    host: str
    container: str
    auth: tuple[str, str] | None = None
    namespace: str = ""

    @property
    def address(self) -> str:
        """Prefix of a repository's name."""
        return f"{self.host}/{self.namespace}".rstrip("/")

    def within(self, namespace: str) -> Running:
        """Return a new namespace; the engine does not repeat the push of layers that another namespace has."""
        return replace(self, namespace=namespace)

    def get(self, path: str) -> Any:
        """Return the registry's API response for a repository's path, without the code under test."""
        url = "/".join(part for part in (f"http://{self.host}/v2", self.namespace, path) if part)
        return requests.get(url, auth=self.auth, timeout=5).json()

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none if it does not exist."""
        return sorted(self.get(f"{repository}/tags/list").get("tags") or [])


@contextlib.contextmanager
def running_registry(
    *,
    project: str = "",
    password: bool = False,
    storage_mb: int = 0,
    deletes: bool = False,
    tokens: Tokens | None = None,
) -> Iterator[Running]:
    """Run a registry until the end of the context.

    Args:
        project: Compose project whose sweep removes the registry if this process is killed.
        password: require USER and PASSWORD.
        storage_mb: megabytes of storage in memory, 0 for the container's own disk.
        deletes: allow the deletion of manifests.
        tokens: require tokens of this server.
    """
    images.build(TAG, REGISTRY)
    environment = {"REGISTRY_STORAGE_DELETE_ENABLED": str(deletes).lower()}
    if password:
        environment |= {
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "test",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/docker/registry/htpasswd",
        }
    if tokens:
        environment |= tokens.environment(CERTIFICATE)
    port = free_port()
    container = DockerContainer(TAG).with_kwargs(labels={"com.docker.compose.project": project})
    if storage_mb:
        container.with_tmpfs_mount(STORAGE, f"size={storage_mb}m")
    container.ports["5000/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]  # passed on to docker-py, which accepts it
    if tokens:
        container.with_copy_into_container(tokens.certificate, CERTIFICATE)
    for name, value in environment.items():
        container.with_env(name, value)
    with container:
        wait_for("the registry", lambda: _answers(f"http://127.0.0.1:{port}/v2/"))
        auth = (USER, PASSWORD) if password else None
        yield Running(f"127.0.0.1:{port}", str(container.get_wrapped_container().id), auth)
    client = docker.from_env()
    with contextlib.suppress(docker.errors.APIError):  # another registry may use the image; the last one removes it
        client.images.remove(TAG)
    client.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code in (200, 401)
    except requests.RequestException:
        return False


def docker_config(folder: Path, address: str, user: str = USER, password: str = PASSWORD) -> Path:
    """Create a folder for DOCKER_CONFIG with one registry's credentials."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return folder


@contextlib.contextmanager
def also_within(container: str, running: Running) -> Iterator[None]:
    """Serve the same registry, with its storage, at the same address in a container's network."""
    client = docker.from_env(timeout=ENGINE_LIMIT_S)
    settings = client.containers.get(running.container).attrs["Config"]["Env"]
    second = client.containers.run(
        TAG,
        detach=True,
        network_mode=f"container:{container}",
        volumes_from=[running.container],
        environment=[*settings, f"REGISTRY_HTTP_ADDR={running.host}"],
        labels=client.containers.get(container).labels,
    )
    try:
        yield
    finally:
        second.remove(force=True)
        client.close()
