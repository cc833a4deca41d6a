"""Names that images and labels go by, wherever they are written or read."""

RELEASE_LABEL = "ai.glm-tts.release"
STANDIN_LABEL = "ai.glm-tts.standin"
FLAVOUR_LABEL = "ai.glm-tts.flavour"
PROXY_REPOSITORY = "glm-tts-proxy"
CHANNEL_REPOSITORY = "standin/conda-channel"


def app_repository(flavour: str) -> str:
    return f"glm-tts-{flavour}"


def base_repository(flavour: str) -> str:
    return f"glm-tts-base-{flavour}"
