"""The one way to a registry: reached as the engine reaches it."""

from __future__ import annotations

from build.drivers import trust
from build.drivers.engine import Engine
from build.drivers.patience import Patience
from build.drivers.registry import Registry, split


def connect(engine: Engine, address: str, patience: Patience | None = None) -> Registry:
    """The registry at `host[:port][/namespace]`, with the trust of this engine.

    Raises:
        UsageError: the address is a URL or holds credentials.
        RegistryError: the certificates for it cannot be used.
    """
    host, _ = split(address)
    return Registry(address, patience, trust.of(host, engine.info()))
