"""Voices from files in the real image, mounted as a stack mounts them."""

from __future__ import annotations

from pathlib import Path

from build.docker.engine import DockerEngine
from build.target import throwaway
from harness.stack import Stack, wait_for
from harness.voices import add


def test_a_voice_from_the_models_folder_speaks(stack: Stack, tmp_path: Path) -> None:
    voices = tmp_path / "models/piper"
    voices.mkdir(parents=True)
    tmp_path.chmod(0o755)  # the container runs as another user
    add(voices, "bert")
    speech = {"TTS_ENGINE": "piper", "TTS_DEVICE": "", "MODELS": str(voices.parent), "GLM_CODE": ""}
    with throwaway.service(DockerEngine(), stack.project, stack.newest_image(), speech) as container:
        wait_for("the model", lambda: container.status().phase == "ready")
        assert container.speak("Good morning.", "bert", timeout_s=20).wav[:4] == b"RIFF"
