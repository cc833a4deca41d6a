"""Queries of this machine: disk, ports, routes, GPU."""

from __future__ import annotations

import ipaddress
import shutil
import socket
from pathlib import Path

from build.errors import CommandFailedError
from build.system import command

ROUTES = Path("/proc/net/route")


def free_bytes(path: str) -> int | None:
    """Free disk (bytes) under a path; None if this machine has no such path (remote engine)."""
    try:
        return shutil.disk_usage(path).free
    except PermissionError:  # only root can read the engine's folders; their parent is on the same disk
        return free_bytes(str(Path(path).parent))
    except OSError:
        return None


def can_bind(address: str, port: int = 0) -> bool:
    """Whether a port is free on an address of this machine; port 0 tests only whether the address exists."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def routes() -> list[tuple[str, ipaddress.IPv4Network]]:
    """Interface and network of every IPv4 route except the default route (proc(5): little-endian hex)."""
    found = []
    for line in ROUTES.read_text().splitlines()[1:] if ROUTES.exists() else []:
        interface, destination, _, _, _, _, _, mask, *_ = line.split()
        address, bits = (int.from_bytes(bytes.fromhex(part), "little") for part in (destination, mask))
        if bits:
            found.append((interface, ipaddress.IPv4Network((address, bits.bit_count()))))
    return found


def gpu() -> str:
    """Name and driver of the first NVIDIA GPU; empty if there is none."""
    try:
        output = command.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], timeout_s=20)
    except CommandFailedError:
        return ""
    return output.decode().splitlines()[0].strip() if output.strip() else ""
