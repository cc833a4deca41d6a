"""A real registry (Debian's docker-registry) that wants to know who asks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bcrypt
import requests

from build.procedures.build_images import OS_IMAGES
from tests.support.stack import Stack, free_port, wait_for

UNAUTHORIZED = 401
TAG = "glm-tts-test-registry-with-password"
# Debian's own configuration demands a password; it only looks for it elsewhere.
REGISTRY = """FROM {os_image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
CMD ["sh", "-c", "echo \\"$HTPASSWD\\" >/run/htpasswd && exec docker-registry serve /etc/docker/registry/config.yml"]
"""


@dataclass(frozen=True)
class GuardedRegistry:
    """`host:port`, and whom it lets in."""

    address: str
    user: str
    password: str

    def get(self, path: str) -> Any:
        """The JSON that the registry's API answers at `/v2/...`."""
        answer = requests.get(f"http://{self.address}/v2/{path}", auth=(self.user, self.password), timeout=5)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def guarded_registry(stack: Stack) -> Iterator[GuardedRegistry]:
    """A registry of the stack's own; removed at the end, and with the stack the images that came by it."""
    os_image = next(name for name in OS_IMAGES if stack.docker.images.list(name=name))
    build = ["docker", "buildx", "build", "--quiet", "--tag", TAG, "-"]
    subprocess.run(build, input=REGISTRY.format(os_image=os_image).encode(), check=True, capture_output=True)
    port, user, password = free_port(), "ci", "what only $CI knows"
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
    container = stack.docker.containers.run(
        TAG,
        detach=True,
        ports={"5000/tcp": ("127.0.0.1", port)},
        environment={"HTPASSWD": f"{user}:{hashed}", "REGISTRY_AUTH_HTPASSWD_PATH": "/run/htpasswd"},
        labels={"com.docker.compose.project": stack.project},
    )
    address = f"127.0.0.1:{port}"
    stack.registries.append(address)
    try:
        wait_for("the registry", lambda: _asks_who(address))
        yield GuardedRegistry(address, user, password)
    finally:
        container.remove(force=True, v=True)
        stack.docker.images.remove(TAG)


def _asks_who(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/v2/", timeout=2).status_code == UNAUTHORIZED
    except requests.RequestException:
        return False
