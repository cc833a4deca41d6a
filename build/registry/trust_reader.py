"""Reader of the engine's trust in a registry: the daemon's insecure registries, and certs.d as dockerd reads it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build.docker import daemon
from build.errors import RegistryError
from build.registry.trust import Trust, host_name, is_insecure

CERTS_D = Path("/etc/docker/certs.d")


def of(address: str, info: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Trust:
    """Read the trust settings for a registry of the engine that returned `info`.

    Like dockerd, it reads certs.d again for every push and pull.

    Args:
        address: `host[:port]`.
        info: the answer of `docker info`.

    Raises:
        RegistryError: certs.d has a client certificate without its key.
    """
    config = info.get("RegistryConfig") or {}
    # Skip DNS for a name with its own configuration entry: it can be slow without a network.
    addresses = [] if address in (config.get("IndexConfigs") or {}) else _addresses(address)
    if is_insecure(address, config, addresses):
        return Trust(insecure=True)
    folder = _certs_d(info, environ) / address
    remedy = f"put the CA certificate of {address} into {folder}/ca.crt"
    if not daemon.is_local(environ):
        remedy += (
            f" on this machine too: the engine at {daemon.address(environ)} has its own certs.d, "
            "which this machine cannot read"
        )
    if not folder.is_dir():
        return Trust(remedy=remedy)
    return Trust(
        authorities=tuple(sorted(folder.glob("*.crt"))),
        clients=tuple((certificate, _key_of(certificate)) for certificate in sorted(folder.glob("*.cert"))),
        remedy=remedy,
    )


def _certs_d(info: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Folder of certs.d; a rootless daemon reads only its user's folder."""
    if "name=rootless" not in (info.get("SecurityOptions") or []):
        return CERTS_D
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "docker", "certs.d")


def _key_of(certificate: Path) -> Path:
    key = certificate.with_suffix(".key")
    if not key.exists():
        raise RegistryError(
            f"{certificate} is a client certificate without its key {key.name}, so it cannot be used",
            remedy=f"put {key.name} beside it; if it is a CA certificate, rename it to end in .crt",
        )
    return key


def _addresses(address: str) -> list[str]:
    """IP addresses of a host; empty if its name does not resolve, which dockerd treats as a secure registry."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host_name(address), None, type=socket.SOCK_STREAM)]
    except OSError:
        return []
