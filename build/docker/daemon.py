"""Selection of the engine, the same for docker-py, the docker command line and its plugins.

The docker command line uses DOCKER_HOST, else DOCKER_CONTEXT, else the current context in Docker's config.json.
`environment` converts a context into variables that all of them respect. docker-py's own context lookup is disabled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from build.docker import shared_ssh
from build.errors import EngineUnreachableError

DEFAULT, SSH = "unix:///var/run/docker.sock", "ssh://"
# These variables change the result of a build or of Compose for the same commit.
BUILD_OVERRIDES = ("DOCKER_DEFAULT_PLATFORM", "BUILDX_BUILDER", "SOURCE_DATE_EPOCH")
_ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Copy the environment with the engine set by DOCKER_HOST only and without variables that change a build.

    Raises:
        EngineUnreachableError: the Docker context does not exist.
    """
    result = {name: value for name, value in environ.items() if name not in BUILD_OVERRIDES}
    context = _context(environ)
    if not context:
        return result
    for name in _ENGINE_VARIABLES:
        result.pop(name, None)
    return result | _endpoint(_folder(environ) / "contexts", context)


def settle(environ: MutableMapping[str, str]) -> None:
    """Apply `environment` to this process, so that `docker context use` during a command has no effect.

    All sessions with an engine behind ssh then share one connection (build.docker.shared_ssh). A context that does not
    exist is not reported here: the first use of the engine raises the error.
    """
    try:
        settled = environment(environ)
    except EngineUnreachableError:
        return
    for name in set(environ) - set(settled):
        del environ[name]
    environ.update(settled)
    if address(environ).startswith(SSH):
        shared_ssh.settle(environ, address(environ))


def address(environ: Mapping[str, str] | None = None) -> str:
    """The engine's address, such as unix:///var/run/docker.sock or ssh://host; empty if the context does not exist."""
    try:
        return environment(os.environ if environ is None else environ).get("DOCKER_HOST") or DEFAULT
    except EngineUnreachableError:
        return ""


def is_local(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the engine runs on this machine, so that its disk, ports and GPUs are visible to this process."""
    return address(environ).startswith("unix://")


def is_behind_ssh() -> bool:
    """Whether this process reaches the engine through ssh."""
    return address().startswith(SSH)


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context(environ: Mapping[str, str]) -> str:
    """The name of the active context; empty if DOCKER_HOST or the default socket is used."""
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
            f"the active Docker context {name} does not exist or names no engine",
            remedy="choose a context of `docker context ls` with `docker context use NAME`, or unset DOCKER_CONTEXT",
        ) from None
    certificates = contexts / "tls" / key / "docker"
    if not certificates.is_dir():
        return {"DOCKER_HOST": host}
    verify = "DOCKER_TLS" if docker.get("SkipTLSVerify") else "DOCKER_TLS_VERIFY"
    return {"DOCKER_HOST": host, "DOCKER_CERT_PATH": str(certificates), verify: "1"}
