"""Rules of doctor and preflight: facts about the host in, findings out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from build.errors import (
    DiskFullError,
    EngineUnreachableError,
    OrchestratorError,
    PortTakenError,
    PreflightError,
    SettingsError,
)

MINIMUM_ENGINE = (26, 0)
OWN_PROXY = "this stack"
GB = 10**9


class Level(StrEnum):
    OK = "ok"
    NOT_VERIFIED = "not verified"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        remedy: what the operator should do about a problem.
        error: exception that a command raises for a problem.
    """

    subject: str
    level: Level
    message: str
    remedy: str = ""
    error: type[OrchestratorError] = PreflightError


@dataclass(frozen=True)
class HostFacts:
    """Facts about the host and its engine; if the engine does not answer, only that error. Sizes in bytes.

    Attributes:
        port_owner: what uses the proxy's port: OWN_PROXY or a description; empty if nothing is known to use it.
        port_unknown: the engine is on another machine, whose processes are unknown.
        routes_unknown: the same of its routes.
    """

    engine_version: str = ""
    engine_error: str = ""
    engine_remedy: str = ""
    rootless: bool = False
    compose_version: str = ""
    buildx_version: str = ""
    storage_driver: str = ""
    free_bytes: int | None = None
    port: int = 0
    address: str = "127.0.0.1"
    address_missing: bool = False
    port_owner: str = ""
    port_unknown: bool = False
    subnet: str = ""
    subnet_overlaps: str = ""
    routes_unknown: bool = False
    gpu: str = ""
    standins: tuple[str, ...] = ()


def version(text: str) -> tuple[int, ...]:
    """Parse the leading numbers of a version: `v2.26.1-desktop` gives (2, 26, 1)."""
    numbers = []
    for part in text.lstrip("v").replace("-", ".").replace("+", ".").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def engine(facts: HostFacts) -> list[Finding]:
    """Judge the engine, its plugins and rootless mode."""
    if facts.engine_error:
        return [
            Finding(
                "engine",
                Level.PROBLEM,
                facts.engine_error,
                facts.engine_remedy,
                EngineUnreachableError,
            )
        ]
    found = [Finding("engine", Level.OK, f"Docker Engine {facts.engine_version}, storage {facts.storage_driver}")]
    if version(facts.engine_version) < MINIMUM_ENGINE:
        found = [
            Finding(
                "engine",
                Level.PROBLEM,
                f"Docker Engine {facts.engine_version} is older than {MINIMUM_ENGINE[0]}",
                "upgrade Docker Engine; bootstrap never replaces an installed engine",
                EngineUnreachableError,
            )
        ]
    if facts.rootless:
        found.append(
            Finding(
                "rootless",
                Level.WARNING,
                "rootless Docker: builds and cutovers work, GPUs and ports under 1024 need host settings",
                "use a rootful engine for production GPUs",
            )
        )
    return found + _plugins(facts)


def _plugins(facts: HostFacts) -> list[Finding]:
    found = []
    for plugin, installed in (("compose", facts.compose_version), ("buildx", facts.buildx_version)):
        if installed:
            found.append(Finding(plugin, Level.OK, installed))
        else:
            message, remedy = f"the Docker plugin {plugin} is not installed", "run `scripts/bootstrap`"
            found.append(Finding(plugin, Level.PROBLEM, message, remedy, EngineUnreachableError))
    return found


def disk(facts: HostFacts, needed: int) -> list[Finding]:
    """Judge whether the disk with the engine's images has `needed` bytes free."""
    if facts.free_bytes is None:
        return [Finding("disk", Level.NOT_VERIFIED, "the engine runs on another machine, so its free disk is unknown")]
    free, need = f"{facts.free_bytes / GB:.1f} GB free", f"{needed / GB:.1f} GB"
    if facts.free_bytes < needed:
        return [
            Finding(
                "disk",
                Level.PROBLEM,
                f"the disk with Docker's images has {free}, but {need} are needed",
                "run `docker buildx prune` and `docker image prune`; `docker system df` shows what uses the disk",
                DiskFullError,
            )
        ]
    return [Finding("disk", Level.OK, f"{free}, {need} needed")]


def network(facts: HostFacts) -> list[Finding]:
    """Judge the proxy's address, port and subnet."""
    found = []
    if facts.address_missing:
        found.append(
            Finding(
                "publish",
                Level.PROBLEM,
                f"{facts.address} is not an address of this machine, so the proxy cannot publish its port on it",
                "choose an address that `ip -4 address` lists, or `PUBLISH=0.0.0.0` for all of them",
                SettingsError,
            )
        )
    elif facts.port_owner not in {"", OWN_PROXY}:
        found.append(
            Finding(
                "port",
                Level.PROBLEM,
                f"port {facts.port} on {facts.address} is in use by {facts.port_owner}",
                "stop it, or choose another port: `PORT=7861 make up`",
                PortTakenError,
            )
        )
    elif facts.port_unknown:
        message = f"no container uses {facts.port}; the processes of the engine's machine are unknown here"
        found.append(Finding("port", Level.NOT_VERIFIED, message))
    else:
        state = f"used by {OWN_PROXY}" if facts.port_owner else "free"
        found.append(Finding("port", Level.OK, f"{facts.port} is {state}"))
    return found + _subnet(facts)


def _subnet(facts: HostFacts) -> list[Finding]:
    if facts.subnet_overlaps:
        return [
            Finding(
                "subnet",
                Level.PROBLEM,
                f"{facts.subnet} overlaps {facts.subnet_overlaps}",
                "choose the first three octets of a free subnet: `SUBNET_PREFIX=10.201.7 make up`",
                PortTakenError,
            )
        ]
    if facts.routes_unknown:
        message = f"no Docker network overlaps {facts.subnet}; the routes of the engine's machine are unknown here"
        return [Finding("subnet", Level.NOT_VERIFIED, message)]
    return [Finding("subnet", Level.OK, f"{facts.subnet} is free or used by this stack")]


def gpu(facts: HostFacts) -> list[Finding]:
    """Judge whether the host has a GPU; without one nothing about CUDA can be verified."""
    if facts.gpu:
        return [Finding("gpu", Level.OK, facts.gpu)]
    return [Finding("gpu", Level.NOT_VERIFIED, "this host has no NVIDIA GPU, so nothing about CUDA can be verified")]


def origins(facts: HostFacts) -> list[Finding]:
    """Judge whether images on this host are built on stand-ins, one finding for each kind."""
    if not facts.standins:
        return [Finding("origins", Level.OK, "this host has no stand-in images")]
    return [
        Finding(
            f"standin:{kind}", Level.NOT_VERIFIED, "a stand-in is in use; nothing is verified with the genuine upstream"
        )
        for kind in facts.standins
    ]


def unlisted(found: list[Finding], known: str) -> list[str]:
    """List the unverified subjects that `known` does not list.

    Args:
        known: text with a subject as the first word of each line; `#` starts a comment.
    """
    listed = {line.split()[0] for line in known.splitlines() if line.strip() and not line.startswith("#")}
    unverified = (finding.subject for finding in found if finding.level is Level.NOT_VERIFIED)
    return [subject for subject in unverified if subject not in listed]


def evaluate(facts: HostFacts, *, needed_bytes: int) -> list[Finding]:
    """All host findings of doctor, in report order."""
    found = engine(facts)
    if not facts.engine_error:
        found += disk(facts, needed_bytes) + network(facts) + gpu(facts) + origins(facts)
    return found


def refuse(found: list[Finding]) -> None:
    """Raise the first problem's error with the messages of all problems; return if there is none."""
    problems = [finding for finding in found if finding.level is Level.PROBLEM]
    if problems:
        message = "; ".join(f"{finding.subject}: {finding.message}" for finding in problems)
        raise problems[0].error(message, remedy="; ".join(dict.fromkeys(finding.remedy for finding in problems)))
