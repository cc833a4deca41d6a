"""Which engine a command works with: one decision for docker-py, the docker command line and its plugins.

The command line asks DOCKER_HOST, then DOCKER_CONTEXT, then the current context of Docker's config.json. `environment`
turns a context into the variables that all of them heed; docker-py's own search for a context is switched off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from build.errors import EngineUnreachableError

DEFAULT = "unix:///var/run/docker.sock"
# These change what a build or Compose makes of the same commit.
UNSETTLING = ("DOCKER_DEFAULT_PLATFORM", "BUILDX_BUILDER", "SOURCE_DATE_EPOCH")
_WHERE = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the engine named by DOCKER_HOST alone, and without what changes a build.

    Raises:
        EngineUnreachableError: it names a Docker context that does not exist.
    """
    kept = {name: value for name, value in environ.items() if name not in UNSETTLING}
    context = _context(environ)
    if not context:
        return kept
    for name in _WHERE:
        kept.pop(name, None)
    return kept | _endpoint(_folder(environ) / "contexts", context)


def settle(environ: MutableMapping[str, str]) -> None:
    """Makes `environment` the process's own, so that `docker context use` during a command changes nothing.

    A context that does not exist is left to the first use of the engine, which says so.
    """
    try:
        settled = environment(environ)
    except EngineUnreachableError:
        return
    for name in set(environ) - set(settled):
        del environ[name]
    environ.update(settled)


def address(environ: Mapping[str, str] | None = None) -> str:
    """The engine's address, such as unix:///var/run/docker.sock or ssh://host; empty for an unknown context."""
    try:
        return environment(os.environ if environ is None else environ).get("DOCKER_HOST") or DEFAULT
    except EngineUnreachableError:
        return ""


def is_local() -> bool:
    """True when the engine is this machine's: its disk, ports and GPUs are the ones that this process sees."""
    return address().startswith("unix://")


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context(environ: Mapping[str, str]) -> str:
    """The name of the context in force; empty when DOCKER_HOST or the default socket is."""
    if environ.get("DOCKER_HOST"):
        return ""
    name = environ.get("DOCKER_CONTEXT", "")
    if not name:
        try:
            name = json.loads((_folder(environ) / "config.json").read_text()).get("currentContext", "")
        except (OSError, ValueError, AttributeError):
            name = ""
    return "" if name == "default" else name


def _endpoint(contexts: Path, name: str) -> dict[str, str]:
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        docker = json.loads((contexts / "meta" / key / "meta.json").read_text())["Endpoints"]["docker"]
        host = str(docker["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        raise EngineUnreachableError(
            f"the Docker context {name} is in force, but it does not exist or names no engine",
            remedy="`docker context ls` shows the contexts; `docker context use default`, or unset DOCKER_CONTEXT",
        ) from None
    certificates = contexts / "tls" / key / "docker"
    if not certificates.is_dir():
        return {"DOCKER_HOST": host}
    verify = "DOCKER_TLS" if docker.get("SkipTLSVerify") else "DOCKER_TLS_VERIFY"
    return {"DOCKER_HOST": host, "DOCKER_CERT_PATH": str(certificates), verify: "1"}
