"""Names of image labels, repositories and tags."""

from __future__ import annotations

from enum import StrEnum

RELEASE_LABEL = "ai.glm-tts.release"
LINE_LABEL = "ai.glm-tts.line"  # version of this project whose commands built the image
STANDIN_LABEL = "ai.glm-tts.standin"
VRAM_LABEL = "ai.glm-tts.vram-bytes"
FLAVOUR_LABEL = "ai.glm-tts.flavour"
ENVIRONMENT_LABEL = "ai.glm-tts.environment"
TRIGGERED_BY_LABEL = "ai.glm-tts.triggered-by"
RUN_ID_LABEL = "ai.glm-tts.run-id"
INPUTS_LABEL = "ai.glm-tts.inputs"
LOCKS_LABEL = "ai.glm-tts.locks"
MINIMUM_DRIVER_LABEL = "ai.glm-tts.minimum-driver"
DRIFT_LABEL = "ai.glm-tts.drift"  # on an app: its base's drift from the apt lock, as `name=version` in the image
ACCEPTED_DRIFT_LABEL = "ai.glm-tts.drift-accepted"  # `true` on a production image that was published with drift
APT_MOMENT_LABEL = "ai.glm-tts.apt-moment"  # on a base with packages from a snapshot archive: YYYYMMDDTHHMMSSZ
OCI = "org.opencontainers.image."
PROXY_REPOSITORY = "glm-tts-proxy"
CHANNEL_REPOSITORY = "standin/conda-channel"

CACHE_TAG = "cache"  # the newest base in a registry; the next base build uses it as cache


def app_repository(flavour: str) -> str:
    return f"glm-tts-{flavour}"


def base_repository(flavour: str) -> str:
    return f"glm-tts-base-{flavour}"


class Flavour(StrEnum):
    SLIM = "slim"
    CUDA = "cuda"
