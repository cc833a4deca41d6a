"""A target behind ssh: a real sshd in a container, with this host's engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from harness import images
from harness.stack import Stack, free_port, wait_for

TAG = "glm-tts-test-sshd"
SSHD = """FROM {os_image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends openssh-server && rm -rf /var/lib/apt/lists/*
RUN rm -f /etc/ssh/ssh_host_* && mkdir -p /run/sshd
ENTRYPOINT ["/usr/sbin/sshd", "-D", "-e", "-h", "/run/host-key", "-o", "AuthorizedKeysFile=/run/user-key.pub", \
     "-o", "PasswordAuthentication=no", "-o", "StrictModes=no", "-o", "ListenAddress=127.0.0.1"]
"""


@dataclass(frozen=True)
class SshTarget:
    """Address of the engine for a Docker client (`user@host:port`), and the keys of the connection."""

    address: str
    key: str
    known_hosts: str


def _key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


@contextmanager
def ssh_target(stack: Stack, scratch: Path) -> Iterator[SshTarget]:
    """Run a target with new keys; remove it at the end."""
    images.build(TAG, SSHD)
    host_key, port = _key(scratch / "host-key"), free_port()
    _key(scratch / "user-key")
    client = shutil.which("docker")
    assert client
    mounts = [
        f"{Path(client).resolve()}:/usr/bin/docker:ro",
        "/var/run/docker.sock:/var/run/docker.sock",
        f"{scratch / 'host-key'}:/run/host-key:ro",
        f"{scratch / 'user-key.pub'}:/run/user-key.pub:ro",
    ]
    container = stack.docker.containers.run(
        TAG,
        ["-p", str(port)],
        detach=True,
        network_mode="host",  # the host's loopback, as on a target
        volumes=mounts,
        labels={"com.docker.compose.project": stack.project},
    )
    try:
        wait_for("sshd", lambda: b"Server listening" in container.logs())
        known = f"[127.0.0.1]:{port} {host_key.strip()}"
        yield SshTarget(f"root@127.0.0.1:{port}", (scratch / "user-key").read_text().rstrip("\n"), known)
    finally:
        container.remove(force=True, v=True)
        with suppress(docker.errors.APIError):  # another target may run on it; the last one removes it
            stack.docker.images.remove(TAG)
