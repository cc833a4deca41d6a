"""Names of image labels, repositories and tags."""

from __future__ import annotations

from enum import StrEnum

RELEASE_LABEL = "ai.glm-tts.release"
LINE_LABEL = "ai.glm-tts.line"
STANDIN_LABEL = "ai.glm-tts.standin"
VRAM_LABEL = "ai.glm-tts.vram-bytes"
FLAVOUR_LABEL = "ai.glm-tts.flavour"
ENVIRONMENT_LABEL = "ai.glm-tts.environment"
TRIGGERED_BY_LABEL = "ai.glm-tts.triggered-by"
RUN_ID_LABEL = "ai.glm-tts.run-id"
INPUTS_LABEL = "ai.glm-tts.inputs"
LOCKS_LABEL = "ai.glm-tts.locks"
MINIMUM_DRIVER_LABEL = "ai.glm-tts.minimum-driver"
DRIFT_LABEL = "ai.glm-tts.drift"
ACCEPTED_DRIFT_LABEL = "ai.glm-tts.drift-accepted"
APT_MOMENT_LABEL = "ai.glm-tts.apt-moment"
TORCH_LABEL = "ai.glm-tts.torch"
TORCH_CUDA_LABEL = "ai.glm-tts.torch-cuda"
BASE_CUDA_LABEL = "ai.glm-tts.base-cuda"
OCI = "org.opencontainers.image."
PROXY_REPOSITORY = "glm-tts-proxy"
CHANNEL_REPOSITORY = "standin/conda-channel"

# Meanings by label, for docs/reference/image-labels.md. An app inherits all labels of its base.
BASE_LABELS = {
    FLAVOUR_LABEL: "`slim` or `cuda`",
    STANDIN_LABEL: "stand-ins that the image stands on: `os`, `cuda`, `conda`, separated by commas; empty for none",
    LOCKS_LABEL: "the locks of the image, as `name=sha256`, separated by commas",
    APT_MOMENT_LABEL: "time of the snapshot archive that the OS packages are from, `YYYYMMDDTHHMMSSZ`; absent without",
    TORCH_LABEL: "version of torch; cuda only",
    TORCH_CUDA_LABEL: "CUDA version of torch's libraries; cuda only",
    BASE_CUDA_LABEL: "CUDA version of the image below the base; cuda only",
    MINIMUM_DRIVER_LABEL: "oldest NVIDIA driver for torch's CUDA; cuda only",
}
APP_LABELS = {
    OCI + "revision": "full SHA of the commit",
    OCI + "source": "URL of the remote `origin`, without credentials; empty without one",
    OCI + "version": "version of the git tag; without one the same as the release",
    OCI + "created": "time of the commit, so that a second build gives the same image",
    OCI + "base.name": "reference of the base",
    OCI + "base.digest": "digest of a pushed base, else its image ID",
    RELEASE_LABEL: "full SHA of the commit, with `-dirty` for a dirty tree",
    LINE_LABEL: "version of this project whose commands built the image",
    FLAVOUR_LABEL: BASE_LABELS[FLAVOUR_LABEL],
    STANDIN_LABEL: "stand-ins of the base",
    ENVIRONMENT_LABEL: "`production` with a version tag, `local` for a dirty tree, `staging` otherwise",
    DRIFT_LABEL: "the base's drift from the apt lock: `name=version` of each package that differs; empty for none",
    ACCEPTED_DRIFT_LABEL: "`true` for a production image that was published with drift; empty otherwise",
    INPUTS_LABEL: "hash of everything that determines the image; the same hash needs no build",
    TRIGGERED_BY_LABEL: "account that started the CI run; empty elsewhere",
    RUN_ID_LABEL: "run and attempt of CI; empty elsewhere",
}
# The build sets none of these: set them with LABEL in Dockerfile.app.
OPTIONAL_LABELS = {VRAM_LABEL: "GPU memory that the release needs (bytes); without it the planner uses measured runs"}

CACHE_TAG = "cache"  # the newest base in a registry; the next base build uses it as cache


def app_repository(flavour: str) -> str:
    return f"glm-tts-{flavour}"


def base_repository(flavour: str) -> str:
    return f"glm-tts-base-{flavour}"


class Flavour(StrEnum):
    SLIM = "slim"
    CUDA = "cuda"
