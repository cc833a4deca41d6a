"""Reservations of GPUs on one engine: containers named by the GPU, which exit and disappear by themselves.

Creating a name is atomic for all clients of an engine, and needs no file or process on its machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from docker.errors import APIError
from docker.models.containers import Container

from build.docker.engine import DockerEngine, convert_errors

PREFIX = "glm-tts-gpu-"
OWNER = "ai.glm-tts.gpu.owner"
CONFLICT = 409
STARTS_S = 30  # a container that was created and not started within this time belongs to a killed process


class GpuReservations:
    """Reservations of one engine's GPUs, by any project."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def acquire(self, owner: str, devices: Sequence[str], image: str, expiry_s: float) -> str:
        """Reserve all devices (UUIDs) or none; return "", or the owner that has one.

        A reservation of the same owner, whose process has ended, is replaced.
        """
        for device in sorted(devices):
            if holder := self._take(owner, name(device), image, expiry_s):
                self.release(owner)
                return holder
        return ""

    def release(self, owner: str) -> None:
        """Remove the owner's reservations."""
        with convert_errors():
            filters = {"label": f"{OWNER}={owner}"}
            found = self._engine.client.containers.list(all=True, filters=filters, ignore_removed=True)
        for container in found:
            self._engine.remove(container)

    def _take(self, owner: str, called: str, image: str, expiry_s: float) -> str:
        try:
            container = self._create(owner, called, image, expiry_s)
        except APIError as error:
            if error.status_code != CONFLICT:
                raise
            return self._holder(owner, called, image, expiry_s)
        with convert_errors():
            container.start()
        return ""

    def _holder(self, owner: str, called: str, image: str, expiry_s: float) -> str:
        """Return the owner of an existing reservation; replace it if it is stale or our own."""
        found = self._engine.container(called)
        if found is not None:
            holder = str(found.labels.get(OWNER, called))
            if holder != owner and not self._stale(found):
                return f"{holder} (container {called})"
            self._engine.remove(found)
        return self._take(owner, called, image, expiry_s)

    def _stale(self, container: Container) -> bool:
        return container.status != "running" and self._engine.age_s(container) > STARTS_S

    def _create(self, owner: str, called: str, image: str, expiry_s: float) -> Container:
        return self._engine.client.containers.create(
            image,
            entrypoint=["sleep", str(round(expiry_s))],
            command=[],
            name=called,
            labels={OWNER: owner},
            environment={"NVIDIA_VISIBLE_DEVICES": "void"},
            auto_remove=True,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            healthcheck={"test": ["NONE"]},
            init=True,
        )


def name(device: str) -> str:
    """Return the container's name for a GPU's UUID."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_.-]", "-", device)
