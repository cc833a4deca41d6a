"""Trust in a registry: verified TLS, unverified TLS or plain HTTP, by the same rules as dockerd. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.0/8", "::1/128")  # dockerd's default for InsecureRegistryCIDRs


@dataclass(frozen=True)
class Trust:
    """Trust settings for one registry.

    Attributes:
        insecure: try HTTPS without verification, then HTTP.
        authorities: CA certificates (PEM) in addition to the system's.
        clients: client certificates with their keys (PEM).
        remedy: advice if the registry's certificate is not trusted.
    """

    insecure: bool = False
    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()
    remedy: str = ""


def host_name(address: str) -> str:
    """Host part of `host[:port]`, without the brackets of an IPv6 address."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def is_loopback(address: str) -> bool:
    """Whether the host is localhost or a loopback address."""
    name = host_name(address)
    return name == "localhost" or _within([name], LOOPBACK)


def is_insecure(address: str, config: Mapping[str, Any], addresses: Iterable[str]) -> bool:
    """Whether dockerd treats a registry as insecure: an entry for exactly this address wins over the networks.

    Args:
        address: `host[:port]`.
        config: `RegistryConfig` of `docker info`; without networks, dockerd's defaults apply.
        addresses: the IP addresses of the host.
    """
    entry = (config.get("IndexConfigs") or {}).get(address)
    if entry:
        return not entry.get("Secure", True)
    networks = config.get("InsecureRegistryCIDRs")
    return _within(addresses, LOOPBACK if networks is None else networks)


def _within(addresses: Iterable[str], networks: Iterable[str]) -> bool:
    ranges = [ipaddress.ip_network(network, strict=False) for network in networks]
    return any(found in network for address in addresses if (found := _ip(address)) for network in ranges)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
