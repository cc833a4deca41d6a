"""How the engine trusts a registry: over verified TLS, over unverified TLS, or in plain HTTP."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.0/8", "::1/128")  # dockerd's own default for InsecureRegistryCIDRs


@dataclass(frozen=True)
class Trust:
    """How to reach one registry.

    Attributes:
        insecure: HTTPS without verification is tried first, then HTTP.
        authorities: CA certificates (PEM) that count beside the system's.
        clients: certificate and key (PEM) that prove who we are.
        remedy: what to do when the registry's certificate is not trusted.
    """

    insecure: bool = False
    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()
    remedy: str = ""


def host_name(address: str) -> str:
    """The host of `host[:port]`, without the brackets of an IPv6 address."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def is_loopback(address: str) -> bool:
    """True for localhost and the loopback addresses."""
    name = host_name(address)
    return name == "localhost" or _within([name], LOOPBACK)


def is_insecure(address: str, config: Mapping[str, Any], addresses: Iterable[str]) -> bool:
    """dockerd's own rule: what is configured for exactly this address comes first, then the networks.

    Args:
        address: `host[:port]`.
        config: `RegistryConfig` of `docker info`; without networks, dockerd's defaults hold.
        addresses: the IP addresses of the host.
    """
    named = (config.get("IndexConfigs") or {}).get(address)
    if named:
        return not named.get("Secure", True)
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
