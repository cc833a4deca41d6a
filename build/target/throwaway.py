"""Run a release's service in a temporary container, isolated from the stack."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from build.docker.engine import DockerEngine, convert_errors
from build.model.labels import FLAVOUR_LABEL
from build.target.container import ServiceContainer

LABEL = "ai.glm-tts.throwaway"
# An older container belongs to a run that was killed.
LIFE_S = 3600
# As in compose.yaml.
MOUNTS = {"MODELS": "/models", "GLM_CODE": "/opt/GLM-TTS"}


@contextmanager
def service(
    engine: DockerEngine, project: str, image: str, speech: Mapping[str, str], device: str = ""
) -> Iterator[ServiceContainer]:
    """Start the service of an image, hardened like the stack's, without a network: all access is through exec.

    `speech` holds the variables that compose.yaml would pass, `device` is a GPU's UUID, "" for any.
    """
    sweep(engine, project)
    name = f"{project}-throwaway-{secrets.token_hex(4)}"
    with convert_errors():
        container = engine.client.containers.create(
            image,
            name=name,
            labels={LABEL: project},
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={
                "/tmp": "size=256m,mode=1777",  # noqa: S108 - the container's own
                "/run/service": "size=1m,mode=0700,uid=10001,gid=10001",
            },
            pids_limit=512,
            runtime=_runtime(engine, image) or None,
            environment={
                "NVIDIA_VISIBLE_DEVICES": "all",
                "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                **({"CUDA_VISIBLE_DEVICES": device} if device else {}),
                **{name: speech[name] for name in ("TTS_DEVICE", "TTS_ENGINE")},
            },
            volumes={speech[name]: {"bind": at, "mode": "ro"} for name, at in MOUNTS.items() if speech[name]},
        )
    try:
        with convert_errors():
            container.start()
        yield ServiceContainer(engine, name)
    finally:
        engine.remove(container)


def _runtime(engine: DockerEngine, image: str) -> str:
    found = engine.image(image)
    return engine.gpu_runtime if found is not None and found.labels.get(FLAVOUR_LABEL) == "cuda" else ""


def sweep(engine: DockerEngine, project: str) -> None:
    """Remove containers that killed runs of this project left, by the engine's clock."""
    with convert_errors():
        containers = engine.client.containers.list(all=True, filters={"label": f"{LABEL}={project}"})
    for container in containers:
        if engine.age_s(container) > LIFE_S:
            engine.remove(container)
