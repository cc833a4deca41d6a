"""The one way to a registry: reached as the engine reaches it."""

from __future__ import annotations

from docker.auth import resolve_repository_name
from docker.utils import parse_repository_tag

from build.docker.engine import Engine
from build.registry import trust_reader
from build.registry.client import Registry, split
from build.registry.retry import Patience


def connect(engine: Engine, address: str, patience: Patience | None = None) -> Registry:
    """The registry at `host[:port][/namespace]`, with the trust of this engine.

    Raises:
        UsageError: the address is a URL or holds credentials.
        RegistryError: the certificates for it cannot be used.
    """
    host, _ = split(address)
    return Registry(address, patience, trust_reader.of(host, engine.info()))


ONCE = Patience(attempts=1)


def at_registry(engine: Engine, reference: str) -> tuple[Registry, str, str]:
    """The registry of a reference, the repository in it, and the tag or digest."""
    repository, tag = parse_repository_tag(reference)
    address, name = resolve_repository_name(repository)
    return connect(engine, address, ONCE), name, tag or "latest"
