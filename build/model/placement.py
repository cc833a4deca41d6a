"""Placement of a stack: the address, subnet and keys folder of its proxy, which its colours share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
KEYS_LABEL = "ai.glm-tts.keys"  # on the proxy's container: the folder of API keys for the colours


@dataclass(frozen=True)
class StackAddress:
    """Published port and address of the proxy, the stack's /24, and the folder of API keys ("" for none).

    The values are fixed for the life of the proxy. If the colours had different key folders, one would accept clients
    that the other rejects.
    """

    port: int
    subnet_prefix: str
    publish: str = LOOPBACK
    keys_folder: str = ""

    @classmethod
    def of(cls, port: int, environment: Mapping[str, str], labels: Mapping[str, str]) -> StackAddress:
        """Read the placement from a proxy container, including an old one that lacks some of the values."""
        publish = environment.get("PUBLISHED") or LOOPBACK
        return cls(port, environment["SUBNET_PREFIX"], publish, labels.get(KEYS_LABEL, ""))

    def __str__(self) -> str:
        keys = f"with the API keys in {self.keys_folder}" if self.keys_folder else "without API keys"
        return f"at {self.publish}:{self.port}, in {self.subnet_prefix}.0/24, {keys}"
