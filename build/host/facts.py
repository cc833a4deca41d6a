"""Collector of the host facts that doctor and preflight judge (build.host.findings)."""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor

from build.docker import daemon
from build.docker.engine import DockerEngine, convert_errors
from build.errors import CommandFailedError, EngineUnreachableError
from build.host import imagestore, machine
from build.host.findings import HostFacts
from build.model.labels import STANDIN_LABEL
from build.settings import Settings
from build.system import command

# Free disk (GB) that a build may need at its peak: layers, build cache, unpacked layers, and the copy of every layer
# that the engine writes while the verification reads them (cuda: 10 GB and 18 GB measured).
PEAK_GB = {"slim": 4.0, "cuda": 20.0}


def peak_bytes(settings: Settings) -> int:
    """Free disk (bytes) that a build requires before it starts."""
    return int((PEAK_GB[settings.flavour] if settings.free_gb is None else settings.free_gb) * 10**9)


def host_facts(settings: Settings, engine: DockerEngine) -> HostFacts:
    """Collect all facts about the host; if the engine does not answer, only that error."""
    try:
        info = engine.info()
    except EngineUnreachableError as error:
        return HostFacts(engine_error=error.message, engine_remedy=error.remedy)
    with ThreadPoolExecutor() as pool:
        compose, buildx = pool.map(_plugin, ("compose", "buildx"))
    local = daemon.is_local()
    return HostFacts(
        engine_version=str(info.get("ServerVersion", "")),
        rootless=any("rootless" in str(option) for option in _list(info, "SecurityOptions")),
        compose_version=compose,
        buildx_version=buildx,
        storage_driver=str(info.get("Driver", "")),
        free_bytes=imagestore.free_bytes(engine),
        port=settings.port,
        address=settings.publish,
        address_missing=local and not machine.can_bind(settings.publish),
        port_owner=_port_owner(settings, engine) if local else "",
        subnet=settings.subnet,
        subnet_overlaps=_overlap(settings, engine),
        gpu=machine.gpu() if local else "",
        standins=_standins(engine),
    )


def _list(info: dict[str, object], key: str) -> list[object]:
    value = info.get(key)
    return value if isinstance(value, list) else []


def _plugin(name: str) -> str:
    try:
        return command.run(["docker", name, "version"], timeout_s=20).decode().strip()
    except CommandFailedError:
        return ""


def _port_owner(settings: Settings, engine: DockerEngine) -> str:
    if machine.can_bind(settings.publish, settings.port):
        return ""
    with convert_errors():
        publishers = engine.client.containers.list(filters={"publish": str(settings.port)})
    names = [container.name for container in publishers]
    if settings.container("proxy") in names:
        return ""
    return f"the container {names[0]}" if names else "another process"


def _overlap(settings: Settings, engine: DockerEngine) -> str:
    """Describe the first other network, of Docker or of the host, that overlaps the stack's subnet; empty if none."""
    ours, own_name = ipaddress.IPv4Network(settings.subnet), f"{settings.project}_tts"
    own_interface = ""
    with convert_errors():
        networks = engine.client.networks.list()
    for network in networks:
        if network.name == own_name:
            own_interface = f"br-{str(network.id)[:12]}"
            continue
        for config in (network.attrs.get("IPAM") or {}).get("Config") or []:
            subnet = config.get("Subnet", "")
            if "." in subnet and ipaddress.IPv4Network(subnet).overlaps(ours):
                return f"the Docker network {network.name} ({subnet})"
    for interface, route in machine.routes():
        if interface != own_interface and route.overlaps(ours):
            return f"the host's route {route} on {interface}"
    return ""


def _standins(engine: DockerEngine) -> tuple[str, ...]:
    with convert_errors():
        images = engine.client.api.images(filters={"label": STANDIN_LABEL})
    names = {name for image in images for name in image["Labels"][STANDIN_LABEL].split(",") if name}
    return tuple(sorted(names))
