"""Where a stack is: what its proxy was started with, and its colours take over from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
KEYS_LABEL = "ai.glm-tts.keys"  # of the proxy's container: the folder of API keys that the colours are to have


@dataclass(frozen=True)
class Place:
    """Port and address that the proxy is published at, the stack's /24, the folder of API keys ("" for none).

    All of it holds for the life of the proxy: a colour that saw another folder of keys than the other would let in
    whom that one refuses.
    """

    port: int
    subnet_prefix: str
    publish: str = LOOPBACK
    keys_folder: str = ""

    @classmethod
    def of(cls, port: int, environment: Mapping[str, str], labels: Mapping[str, str]) -> Place:
        """By the container of a proxy, also of one from before it was told all of it."""
        publish = environment.get("PUBLISHED") or LOOPBACK
        return cls(port, environment["SUBNET_PREFIX"], publish, labels.get(KEYS_LABEL, ""))

    def __str__(self) -> str:
        keys = f"with the keys in {self.keys_folder}" if self.keys_folder else "without keys"
        return f"at {self.publish}:{self.port}, in {self.subnet_prefix}.0/24, {keys}"
