"""Starts that fail: all problems are reported together, by name and with a remedy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.glm_tts import Mounted
from service import engines
from service.engine import EngineError
from service.settings import Settings, SettingsError


def refusal(mount: Mounted, **more: str) -> str:
    engine = engines.create(mount.settings(**more))
    with pytest.raises(EngineError) as load:
        engine.load(lambda _step: None)
    with pytest.raises(EngineError) as prepare:
        engine.prepare()
    assert str(prepare.value) == str(load.value), "a parked start must report the same"
    assert engine.describe().voices, "the API description needs a voice"
    return str(load.value)


def no_gpu(mount: Mounted) -> None:
    mount.torch.cuda.absent = True


def no_torch(mount: Mounted) -> None:
    sys.path.remove(str(mount.root / "torch"))


def no_package(mount: Mounted) -> None:
    shutil.rmtree(mount.packages / "tn")
    (mount.packages / "x_transformers.py").unlink()


BROKEN: list[tuple[Callable[[Mounted], object], str]] = [
    (no_gpu, "torch cannot use a GPU"),
    (no_torch, "torch is not installed; engine glm_tts needs the cuda flavour"),
    (lambda m: shutil.rmtree(m.code), "TTS_GLM_CODE={code} is not a folder; mount a clone of"),
    (lambda m: (m.code / "frontend/campplus.onnx").unlink(), "TTS_GLM_CODE={code} lacks frontend/campplus.onnx"),
    (lambda m: shutil.rmtree(m.weights), "TTS_GLM_WEIGHTS={weights} is not a folder; mount the files of"),
    (lambda m: (m.weights / "flow/flow.pt").unlink(), "TTS_GLM_WEIGHTS={weights} lacks flow/flow.pt"),
    (lambda m: (m.weights / "flow/flow.pt").unlink(), "weights: flow/flow.pt is missing; restore the file, or record"),
    (lambda m: (m.weights / "flow/flow.pt").write_text("x"), "weights: flow/flow.pt has 1 bytes instead of 12"),
    (lambda m: (m.weights / "llm/model-2.safetensors").touch(), "llm/model-2.safetensors is not in the manifest"),
    (lambda m: (m.weights / "manifest.json").unlink(), "the weights have no manifest.json"),
    (lambda m: m.voices.unlink(), "cannot read the voices file {voices}: No such file"),
    (lambda m: m.voices.write_text("\n"), "the voices file {voices} has no voices"),
    (lambda m: m.add_voice("anna"), 'voices.jsonl line 3 ("anna"): a line above has the same name'),
    (no_package, "packages that are not installed: x-transformers, WeTextProcessing"),
]


@pytest.mark.parametrize(("break_it", "message"), BROKEN, ids=[message[:40] for _, message in BROKEN])
def test_a_missing_item_is_reported(mount: Mounted, break_it: Callable[[Mounted], object], message: str) -> None:
    break_it(mount)
    lines = refusal(mount).splitlines()
    assert lines[0] == "engine glm_tts cannot start:"
    expected = message.format(code=mount.code, weights=mount.weights, voices=mount.voices)
    assert any(expected in line for line in lines[1:]), lines


def test_all_problems_are_reported_together(mount: Mounted) -> None:
    no_gpu(mount)
    shutil.rmtree(mount.code)
    shutil.rmtree(mount.weights)
    mount.voices.write_text("{}\n[]\n")
    no_package(mount)
    lines = refusal(mount, TTS_CONCURRENCY="2").splitlines()[1:]
    subjects = ("- torch", "- TTS_GLM_CODE", "- GLM-TTS needs", "- TTS_GLM_WEIGHTS", "- voices.jsonl line 1",
                "- voices.jsonl line 2", "- TTS_CONCURRENCY=2")  # fmt: skip
    assert [line.startswith(subject) for line, subject in zip(lines, subjects, strict=True)] == [True] * 7


def test_the_engine_does_not_run_on_the_cpu(mount: Mounted) -> None:
    assert "TTS_DEVICE=cpu: engine glm_tts runs only on a GPU" in refusal(mount, TTS_DEVICE="cpu")


def test_a_copy_of_the_weights_is_verified_by_its_content(mount: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    moved = mount.weights.rename(mount.weights.with_name("old"))
    shutil.copytree(moved, mount.weights, copy_function=shutil.copyfile)
    engines.create(mount.settings()).load(lambda _step: None)
    assert "hashed 8 weight files because their times differ from the manifest" in caplog.text


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("embedding: Any,", "speaker: Any,", "it lacks generate_long(embedding)"),
        ("def load_models(", "def load_all(", "it lacks load_models(use_phoneme), load_models(sample_rate)"),
        ("import torch\n", "import torch\nimport unheard_of\n", "GLM-TTS's code: No module named 'unheard_of'"),
    ],
)  # fmt: skip
def test_an_unsupported_version_of_upstream_is_rejected(mount: Mounted, was: str, now: str, message: str) -> None:
    file = mount.code / "glmtts_inference.py"
    file.write_text(file.read_text().replace(was, now, 1))
    with pytest.raises(EngineError) as error:
        engines.create(mount.settings()).prepare()
    assert message in str(error.value)


def test_a_module_of_the_same_name_from_another_folder_is_rejected(mount: Mounted, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "glmtts_inference.py").touch()
    sys.path.insert(0, str(mount.code))
    sys.path.insert(0, str(other))
    with pytest.raises(EngineError, match=r"imported glmtts_inference from .*other.* instead of"):
        engines.create(mount.settings()).prepare()


def test_settings_have_the_paths_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_env({})
    assert (str(settings.glm_code), str(settings.glm_weights)) == ("/opt/GLM-TTS", "/models/GLM-TTS")
    assert (str(settings.glm_voices), settings.glm_sample_rate) == ("/models/voices/voices.jsonl", 24000)
    monkeypatch.chdir(tmp_path)
    relative = {"TTS_CONTROL": "c.sock", "TTS_ORDERS": "orders", "TTS_API_KEYS": "keys", "TTS_GLM_CODE": "code"}
    settings = Settings.from_env(relative)
    paths = (settings.control, settings.orders, settings.api_keys, settings.glm_code)
    assert [str(path) for path in paths] == [str(tmp_path / name) for name in relative.values()]
    with pytest.raises(SettingsError, match="TTS_GLM_SAMPLE_RATE=22050: must be 24000 or 32000"):
        Settings.from_env({"TTS_GLM_SAMPLE_RATE": "22050"})
