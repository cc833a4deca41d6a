"""A target behind ssh: a real sshd in a container, with this host's engine, and a link to it that can fail."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from harness import images
from harness.addresses import free_port
from harness.stack import Stack, wait_for

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
    container: Any

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def logged(self, text: str) -> int:
        """Return how often sshd has logged a text."""
        return str(self.container.logs(), "utf-8").count(text)


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
        yield SshTarget(f"root@127.0.0.1:{port}", (scratch / "user-key").read_text().rstrip("\n"), known, container)
    finally:
        container.remove(force=True, v=True)
        with suppress(docker.errors.APIError):  # another target may run on it; the last one removes it
            stack.docker.images.remove(TAG)


def program(folder: Path, target: SshTarget, *options: str) -> Path:
    """Write a program `ssh` that knows the target's keys, with further lines of ssh's configuration.

    Returns its folder, for PATH; ssh does not read its configuration from HOME.
    """
    lines = [f"IdentityFile {folder / 'user-key'}", f"UserKnownHostsFile {folder / 'known_hosts'}", *options]
    (folder / "known_hosts").write_text(f"{target.known_hosts}\n")
    (folder / "ssh-config").write_text("Host *\n" + "".join(f"    {line}\n" for line in lines))
    found = folder / "bin"
    found.mkdir()
    (found / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh-config "$@"\n')
    (found / "ssh").chmod(0o755)
    return found


class Link:
    """A TCP port that forwards to another port of this machine until it fails; then it is silent, without a close."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._failed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def fail(self) -> None:
        """Forward nothing from now on."""
        self._failed.set()

    def close(self) -> None:
        """Close every connection."""
        self.fail()
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._failed.is_set():
                    continue  # nothing of it arrives
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets.append(server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while (block := source.recv(65536)) and not self._failed.is_set():
                sink.sendall(block)
            if not self._failed.is_set():
                sink.shutdown(socket.SHUT_WR)
