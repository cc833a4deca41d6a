"""Ports and subnets that nothing on this machine uses."""

from __future__ import annotations

import ipaddress
import os
import random
import socket

import docker

from build.host import machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_subnet(client: docker.DockerClient) -> str:
    """Return three octets of a /24 that neither Docker nor the host uses."""
    used = [network for _, network in machine.routes()]
    for network in client.networks.list():
        for config in (network.attrs.get("IPAM") or {}).get("Config") or []:
            if "." in config.get("Subnet", ""):
                used.append(ipaddress.IPv4Network(config["Subnet"]))
    # Concurrent test processes choose from different ranges.
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    candidates = [f"10.{213 + process}.{number}" for number in range(256)]
    random.shuffle(candidates)
    return next(
        prefix
        for prefix in candidates
        if not any(ipaddress.IPv4Network(f"{prefix}.0/24").overlaps(network) for network in used)
    )
