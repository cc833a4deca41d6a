"""A test apt archive for builds: its packages depend on the test, not on the date."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import ipaddress
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import docker

ARCHITECTURE = "amd64"
# Test archives have no signature: an image that uses them sets these options.
UNSIGNED = 'APT::Get::AllowUnauthenticated "true"; Acquire::AllowInsecureRepositories "true";'


@dataclass(frozen=True)
class Mirror:
    """A folder of archives, served to containers and builds at `url`."""

    folder: Path
    url: str

    def publish(self, archive: str, suite: str, packages: Mapping[str, str], at: datetime) -> None:
        """Replace the packages of a suite of an archive (`debian`, `snapshot/debian/TIME`).

        Args:
            packages: versions of empty packages, by name.
            at: date of the suite's index.
        """
        root = self.folder / archive
        entries = [self._package(root, name, version) for name, version in packages.items()]
        index = "\n".join(entries)
        dists = root / "dists" / suite
        path = dists / f"main/binary-{ARCHITECTURE}/Packages"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(index)
        digest, size = hashlib.sha256(index.encode()).hexdigest(), len(index.encode())
        (dists / "Release").write_text(
            f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: {ARCHITECTURE}\n"
            f"Date: {at.astimezone(UTC):%a, %d %b %Y %H:%M:%S UTC}\n"
            f"SHA256:\n {digest} {size} main/binary-{ARCHITECTURE}/Packages\n"
        )

    def _package(self, root: Path, name: str, version: str) -> str:
        """Build an empty package; return its entry in the index."""
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: {ARCHITECTURE}\n"
            "Maintainer: Test <test@example.invalid>\nDescription: made by a test\n"
        )
        pool, tree = root / "pool", self.folder / "trees" / f"{name}-{version}"
        pool.mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN/control").write_text(control)
        file = pool / f"{name}_{version}_{ARCHITECTURE}.deb"
        argv = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(file)]
        subprocess.run(argv, check=True, capture_output=True)
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return f"{control}Filename: pool/{file.name}\nSize: {len(content)}\nSHA256: {digest}\n"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: pytest would show it as output of the test."""


def bridge_address(client: docker.DockerClient) -> str:
    """Return this machine's address on the engine's default network, where builds reach it."""
    subnet = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
    return str(ipaddress.IPv4Network(subnet)[1])


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Mirror]:
    """Serve a folder of archives until the end of the context."""
    client = docker.from_env()
    try:
        address = bridge_address(client)
    finally:
        client.close()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Mirror(folder, f"http://{address}:{server.server_port}")
        finally:
            server.shutdown()
