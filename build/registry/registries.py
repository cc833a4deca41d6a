"""Factory for registry clients that use the engine's trust settings."""

from __future__ import annotations

from docker.auth import resolve_repository_name
from docker.utils import parse_repository_tag

from build.docker.engine import DockerEngine
from build.registry import trust_reader
from build.registry.client import Registry, split
from build.registry.retry import RetryPolicy


def connect(engine: DockerEngine, address: str, retry: RetryPolicy | None = None) -> Registry:
    """Make a client for the registry at `host[:port][/namespace]` with the trust settings of this engine.

    Raises:
        UsageError: the address is a URL or contains credentials.
        RegistryError: the certificates for the registry cannot be used.
    """
    host, _ = split(address)
    return Registry(address, retry, trust_reader.of(host, engine.info()))


ONCE = RetryPolicy(attempts=1)


def at_registry(engine: DockerEngine, reference: str) -> tuple[Registry, str, str]:
    """Resolve an image reference to its registry, the repository in it, and the tag or digest."""
    repository, tag = parse_repository_tag(reference)
    address, name = resolve_repository_name(repository)
    return connect(engine, address, ONCE), name, tag or "latest"
