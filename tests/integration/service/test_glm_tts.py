"""Engine glm_tts in the real image, with mounted stand-ins of torch and of upstream's code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from build.docker.engine import DockerEngine
from build.errors import CandidateExitedError
from build.target import throwaway
from harness import glm_tts
from harness.glm_tts import Mounted
from harness.stack import Stack, wait_for


@pytest.fixture
def mount(tmp_path: Path) -> Mounted:
    """The mounts of a target; the stand-in of torch is among the packages."""
    found = glm_tts.make(tmp_path)
    shutil.copy(tmp_path / "torch/torch.py", found.packages)
    return found


def test_glm_tts_speaks_in_the_image(stack: Stack, mount: Mounted) -> None:
    speech = {"TTS_ENGINE": "glm_tts", "TTS_DEVICE": "", "MODELS": str(mount.models), "GLM_CODE": str(mount.code)}
    with throwaway.service(DockerEngine(), stack.project, stack.newest_image(), speech) as container:
        wait_for("the model", lambda: container.status().phase == "ready")
        spoken = container.speak("This is a sentence of some length.", "bert", timeout_s=20)
    assert spoken.wav[:4] == b"RIFF"
    assert len(spoken.wav) > 24000


def test_a_release_without_its_weights_fails_and_lists_the_reasons(stack: Stack, mount: Mounted) -> None:
    (mount.weights / "flow/flow.pt").write_text("cut")
    live = stack.status()["live"]
    settings = {"ENGINE": "glm_tts", "MODELS": str(mount.models), "GLM_CODE": str(mount.root / "none")}
    environment = {f"CUTOVER_{name}": value for name, value in settings.items()}
    done = stack.run("build.cutover", "switch", stack.release("by glm_tts"), check=False, **environment)
    assert done.returncode == CandidateExitedError.exit_code, done.stderr
    assert "weights: flow/flow.pt has 3 bytes instead of 12" in done.stderr
    assert "TTS_GLM_CODE=/opt/GLM-TTS lacks glmtts_inference.py" in done.stderr
    assert "voices" not in done.stderr.partition("cannot start")[2]
    assert stack.status()["live"] == live
