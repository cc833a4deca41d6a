"""Stand-in for upstream's module (zai-org/GLM-TTS, commit c5dc7ae) with the same signatures and rules.

A wrong working directory, concurrent threads, a cache of another text, a recording by its path (which needs FFmpeg) and
a second sample rate are errors here; upstream may produce wrong audio instead.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tn.chinese.normalizer import Normalizer as ZhNormalizer  # type: ignore[import-not-found]
from tn.english.normalizer import Normalizer as EnNormalizer  # type: ignore[import-not-found]
from utils import audio  # type: ignore[import-not-found]

GIB = 1 << 30
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
VOCODERS = {24000: "ckpt/hift/hift.pt", 32000: "ckpt/vocos2d/generator_jit.ckpt"}
RELATIVE = ("ckpt/llm/config.json", "ckpt/flow/flow.pt", "frontend/campplus.onnx", "configs/spk_prompt_dict.yaml")
NEEDS = GIB // 4  # GPU memory of an inference

# Settings by tests, and records for them.
gate = threading.Event()
gate.set()
ungated = 0  # number of inferences that do not wait for the gate
entered = threading.Semaphore(0)
faults: list[Exception] = []  # errors of the next inferences, one each
said: list[SimpleNamespace] = []  # synthesized parts of texts, with their conditions
heard: list[float] = []  # seconds of each processed recording
_turn = threading.RLock()


@contextlib.contextmanager
def _rules() -> Iterator[None]:
    if not _turn.acquire(blocking=False):
        raise AssertionError("upstream was called from two threads at once")
    try:
        missing = [name for name in RELATIVE if not Path(name).exists()]
        assert not missing, f"the working directory {Path.cwd()} lacks {missing}"
        yield
    finally:
        _turn.release()


def _no_path(speech: Any) -> Any:
    if isinstance(speech, str):
        raise ImportError("TorchCodec is required for load_with_torchcodec")
    return speech


class TextFrontEnd:
    def __init__(self) -> None:
        self.grammars = (
            ZhNormalizer(remove_erhua=False, full_to_half=True, remove_interjections=False, overwrite_cache=True),
            EnNormalizer(),
        )

    def text_normalize(self, text: str) -> str:
        with _rules():
            text = " ".join(text.split()).lower()
            return text if text[-1:] in ".!?。！？" else f"{text}."

    def split_by_len(self, text: str, min_text_len: int = 30, max_text_len: int = 60) -> list[str]:  # noqa: ARG002
        with _rules():
            assert text == text.strip(), "a unit of spaces only"
            letters = sum(char.isalpha() for char in text)
            if letters * 0.35 > max_text_len:  # upstream may fail when a text exceeds its limit
                raise IndexError("list index out of range")
            return [text]


class TTSFrontEnd:
    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.weights = torch.Tensor([0], on_gpu=True, size=GIB)

    def _extract_text_token(self, text: str) -> Any:
        with _rules():
            return torch.tensor([[ord(char) for char in text]], dtype=torch.int32).to(DEVICE)

    def _extract_speech_token(self, path_or_tuple: Any) -> Any:
        with _rules():
            assert isinstance(path_or_tuple, list)
            [(speech, rate)] = path_or_tuple if isinstance(path_or_tuple[0], tuple) else [_no_path(path_or_tuple[0])]
            assert speech.values.dtype == np.float32
            assert abs(speech.values).max() <= 1
            heard.append(speech.shape[1] / rate)
            return torch.tensor([[7] * math.ceil(speech.shape[1] / rate * 25)]).to(DEVICE)

    def _extract_speech_feat(self, speech: Any, sample_rate: int = 24000) -> Any:
        with _rules():
            _no_path(speech)
            rows, length = speech.shape
            assert rows == 1
            basis = audio.mel_basis.setdefault("8000_cuda:0", torch.Tensor(np.full((80, 1025), sample_rate), True))
            audio.hann_window.setdefault("cuda:0", torch.Tensor(np.ones(sample_rate // 1000 * 80), True))
            assert basis.values[0, 0] == sample_rate, "the mel basis has another sample rate"
            return torch.Tensor(np.zeros((1, length * 50 // sample_rate, 80)), on_gpu=True)

    def _extract_spk_embedding(self, speech: Any) -> Any:
        with _rules():
            _no_path(speech)
            return torch.Tensor([[float(abs(speech.values).mean())]], on_gpu=True)


def load_models(use_phoneme: bool = False, sample_rate: int = 24000) -> tuple[Any, Any, Any, Any, Any]:
    with _rules():
        Path(VOCODERS[sample_rate]).read_bytes()
        llm = SimpleNamespace(weights=torch.Tensor([0], on_gpu=True, size=6 * GIB))
        flow = SimpleNamespace(weights=torch.Tensor([0], on_gpu=True, size=GIB), rate=sample_rate)
        return TTSFrontEnd(sample_rate), TextFrontEnd(), object(), llm, flow


def generate_long(  # noqa: PLR0917 - upstream's signature
    frontend: Any,
    text_frontend: Any,
    llm: Any,
    flow: Any,
    text_info: Any,
    cache: Any,
    device: Any,
    embedding: Any,
    seed: int = 0,
    sample_method: str = "ras",
    flow_prompt_token: Any = None,
    speech_feat: Any = None,
    local_llm_forward: Any = None,
    local_flow_forward: Any = None,
    use_phoneme: bool = False,
) -> tuple[Any, Any, list[int], dict[str, Any]]:
    with _rules():
        outputs, tokens = [], []
        name, text = text_info
        for part in text_frontend.split_by_len(text):
            _claim(name, cache)
            entered.release()
            global ungated  # noqa: PLW0603 - a test sets it
            if ungated:
                ungated -= 1
            else:
                assert gate.wait(10), "the test did not open the gate"
            if faults:
                raise faults.pop()
            working = torch.Tensor([0], on_gpu=True, size=NEEDS)
            np.random.seed(seed)
            stretch = text_frontend.text_normalize(part)
            assert cache["cache_speech_token"][0] == flow_prompt_token.tolist()[0]
            said.append(SimpleNamespace(name=name, text=stretch, voice=embedding.values[0, 0], seed=seed,
                                        before=len(cache["cache_text"])))  # fmt: skip
            wav = np.random.normal(0, 0.1, (1, flow.rate // 50 * len(stretch))).astype(np.float32)
            cache["cache_text"].append(stretch)
            cache["cache_text_token"].append(frontend._extract_text_token(stretch))
            cache["cache_speech_token"].append([8] * len(stretch))
            outputs.append(torch.Tensor(np.clip(wav, -0.9, 0.9)))
            tokens += [8] * len(stretch)
            del working
        return torch.concat(outputs, dim=1), None, tokens, {"uttid": name, "syn_text": text}


def _claim(name: str, cache: dict[str, Any]) -> None:
    """Check that a new cache contains only the prompt, and that one text uses it."""
    lengths = {len(cache[part]) for part in ("cache_text", "cache_text_token", "cache_speech_token")}
    assert len(lengths) == 1
    assert "owner" in cache or lengths == {1}, "the new cache is not fresh"
    assert cache.setdefault("owner", name) == name, "a cache of another text"
