"""The engine with a stand-in of upstream's module that enforces its constraints."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.glm_tts import Mounted
from service import engines
from service.engine import Engine, EngineError, EngineFatalError, NoMemoryError, Utterance, VoiceReference, spoken
from service.engines.glm_tts import manifest, reading
from service.engines.glm_tts.upstream import _SPEAKERS

LONG = "This is the first sentence of it. Here the second one follows. And this one is the last of all."
GIB = 1 << 30


def speak(engine: Engine, text: str = LONG, voice: str = "anna", **more: object) -> np.ndarray:
    return np.concatenate(list(spoken(engine, Utterance(text, voice, **more))))  # type: ignore[arg-type]


def prompt(text: str = "Something else.", level: int = 5000, rate: int = 16000) -> VoiceReference:
    return VoiceReference(np.full(rate * 4, level, np.int16), rate, text)


def test_each_sentence_is_a_piece(engine: Engine) -> None:
    pieces = list(spoken(engine, Utterance(LONG, "anna")))
    assert len(pieces) == 3
    assert {samples.dtype for samples in pieces} == {np.dtype(np.int16)}
    assert all(samples.any() for samples in pieces)
    assert engine.sample_rate == 24000


def test_each_text_has_its_own_cache(engine: Engine, mount: Mounted) -> None:
    for _ in range(2):
        speak(engine)
    names = list(dict.fromkeys(sentence.name for sentence in mount.module.said))
    assert len(names) == 2
    for name in names:
        assert [sentence.before for sentence in mount.module.said if sentence.name == name] == [1, 2, 3]


def test_a_text_of_long_words_is_synthesized(engine: Engine) -> None:
    assert len(list(spoken(engine, Utterance("internationalisation " * 50, "anna")))) > 5


def test_an_abandoned_text_does_not_affect_the_next_one(engine: Engine, mount: Mounted) -> None:
    next(spoken(engine, Utterance(LONG, "anna")))
    speak(engine)
    assert [sentence.before for sentence in mount.module.said] == [1, 1, 2, 3]


def test_threads_are_serialized(engine: Engine, mount: Mounted) -> None:
    mount.module.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        syntheses = [pool.submit(speak, engine, seed=seed) for seed in range(4)]
        assert mount.module.entered.acquire(timeout=5)
        mount.module.gate.set()
        assert all(synthesis.result(timeout=10).any() for synthesis in syntheses)


def test_a_seed_repeats_the_speech(engine: Engine) -> None:
    first, repeated, other = (speak(engine, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first, other)
    assert not np.array_equal(speak(engine), speak(engine))
    assert engine.describe().seeds


def test_voices_are_prepared_once_at_load_and_differ(engine: Engine, mount: Mounted) -> None:
    assert mount.module.heard == [4, 4], "the load must prepare both voices"
    for voice in ("anna", "bert", "anna"):
        speak(engine, "A sentence.", voice)
    assert mount.module.heard == [4, 4]
    levels = [sentence.voice for sentence in mount.module.said]
    assert levels[0] == levels[2] == pytest.approx(0.3 * 2 / np.pi, rel=0.05)
    assert levels[1] == pytest.approx(levels[0] / 3, rel=0.05)


def test_prompt_features_are_cached_by_audio_and_text(engine: Engine, mount: Mounted) -> None:
    def count_new(**more: object) -> int:
        before = len(mount.module.heard)
        speak(engine, "A sentence.", prompt=prompt(**more))  # type: ignore[arg-type]
        assert len(mount.module.said) > 0
        return len(mount.module.heard) - before

    assert [
        count_new(),
        count_new(),
        count_new(text="Other."),
        count_new(level=99),
        count_new(rate=8000),
        count_new(),
    ] == [1, 0, 1, 1, 1, 0]
    assert mount.module.said[-1].voice == pytest.approx(5000 / 32768, rel=0.02)


def test_the_cache_of_prompts_is_bounded(engine: Engine, mount: Mounted) -> None:
    live = mount.torch.cuda.live
    for number in range(_SPEAKERS + 10):
        speak(engine, "A sentence.", prompt=prompt(f"Number {number}."))
        assert len(engine._upstream._speakers) <= _SPEAKERS  # type: ignore[attr-defined]
    assert mount.torch.cuda.live - live < _SPEAKERS * 200_000


def test_unload_releases_all_memory_and_load_restores_the_model(engine: Engine, mount: Mounted) -> None:
    cuda, folder = mount.torch.cuda, Path.cwd()
    speak(engine)
    assert cuda.live > 8 * GIB
    assert engine.describe().device == "cuda (stand-in GPU)"
    engine.unload()
    assert (cuda.live, cuda.kept) == (0, 0)
    assert engine.describe().device == ""
    assert Path.cwd() != folder
    assert not folder.exists()
    with pytest.raises(EngineError, match="not loaded"):
        speak(engine)
    engine.unload()
    engine.load(lambda _step: None)
    assert speak(engine).any()


def test_unload_reports_leaked_memory(engine: Engine, mount: Mounted) -> None:
    mount.module.leaked = mount.torch.Tensor([0], on_gpu=True, size=GIB)
    with pytest.raises(EngineError, match="1024 MiB of GPU memory are still allocated"):
        engine.unload()


def test_too_little_memory_fails_only_one_utterance(engine: Engine, mount: Mounted) -> None:
    cuda = mount.torch.cuda
    speak(engine)
    whole, cuda.total = cuda.total, cuda.live
    with pytest.raises(NoMemoryError, match=r"sentence of \d+ characters: 0 of \d+ MiB are free"):
        speak(engine)
    cuda.total = whole
    assert speak(engine).any()


def test_too_little_memory_for_a_prompt_is_reported(engine: Engine, mount: Mounted) -> None:
    mount.torch.cuda.total = mount.torch.cuda.live
    with pytest.raises(NoMemoryError, match="for a recording: "):
        speak(engine, prompt=prompt())


def test_a_load_without_memory_for_the_models_leaks_nothing(mount: Mounted) -> None:
    folder, engine = Path.cwd(), engines.create(mount.settings())
    mount.torch.cuda.total = 6 * GIB
    with pytest.raises(NoMemoryError, match=r"the models \(about 9 GiB\)"):
        engine.load(lambda _step: None)
    assert mount.torch.cuda.live == mount.torch.cuda.kept == 0
    assert (engine.describe().device, Path.cwd()) == ("", folder)
    mount.torch.cuda.total = 16 * GIB
    engine.load(lambda _step: None)
    assert speak(engine).any()


def test_a_load_without_memory_for_a_voice_leaks_nothing(mount: Mounted) -> None:
    mount.torch.cuda.total = 8 * GIB
    with pytest.raises(NoMemoryError, match="too little memory for voice anna"):
        engines.create(mount.settings()).load(lambda _step: None)
    assert mount.torch.cuda.live == mount.torch.cuda.kept == 0


def test_only_cuda_errors_are_fatal(engine: Engine, mount: Mounted) -> None:
    mount.module.faults.append(mount.torch.AcceleratorError("CUDA error: an illegal memory access\nCompile with"))
    with pytest.raises(EngineFatalError, match=r"AcceleratorError: CUDA error: an illegal memory access$"):
        speak(engine)
    mount.module.faults.append(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        speak(engine)
    assert speak(engine).any()


def test_samples_that_are_not_finite_are_an_error(
    engine: Engine, mount: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = mount.torch.from_numpy(np.full((1, 9), np.nan, np.float32))
    generate = mount.module.generate_long
    monkeypatch.setattr(mount.module, "generate_long", lambda **kwargs: (wav, *generate(**kwargs)[1:]))
    with pytest.raises(EngineError, match="not finite numbers"):
        speak(engine)


def test_samples_beyond_full_scale_are_clipped(engine: Engine, mount: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = mount.torch.from_numpy(np.array([[0.5, 1.5, -1.5]], np.float32))
    monkeypatch.setattr(mount.module, "generate_long", lambda **_: (wav, None, [], {}))
    assert speak(engine, "A sentence.").tolist() == [16383, 32767, -32767]


def test_the_sample_rate_selects_the_vocoder(mount: Mounted) -> None:
    (mount.weights / "hift/hift.pt").unlink()
    manifest.write(mount.weights)
    engine = engines.create(mount.settings(TTS_GLM_SAMPLE_RATE="32000"))
    engine.load(lambda _step: None)
    samples = speak(engine, "A sentence.", prompt=prompt(rate=48000))
    assert engine.sample_rate == 32000
    assert len(samples) == 32000 // 50 * len("a sentence.")


def test_prepare_allocates_no_gpu_memory(mount: Mounted) -> None:
    engine, folder = engines.create(mount.settings()), Path.cwd()
    engine.prepare()
    assert mount.torch.cuda.live == 0
    assert mount.module.heard == []
    assert Path.cwd() == folder


def test_a_load_that_reads_shows_progress(mount: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "INTERVAL_S", 0.01)
    engine = engines.create(mount.settings())
    engine.prepare()
    large, load, steps = mount.root / "large", mount.module.load_models, list[str]()
    large.write_bytes(bytes(4 * reading.MIN_BYTES))
    reported = threading.Event()

    def step(text: str) -> None:
        steps.append(text)
        if text.startswith("read"):
            reported.set()

    @functools.wraps(load)
    def slow(**arguments: object) -> object:
        """Read until a step reports it."""
        until = time.monotonic() + 10
        while not reported.is_set():
            assert time.monotonic() < until
            large.read_bytes()
        return load(**arguments)

    monkeypatch.setattr(mount.module, "load_models", slow)
    engine.load(step)
    assert re.fullmatch(r"read \d+ MiB more", next(text for text in steps if text.startswith("read")))
    assert "reading" not in [thread.name for thread in threading.enumerate()]


def test_a_hanging_load_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "INTERVAL_S", 0.01)
    reads, steps = threading.Semaphore(0), list[str]()

    def unmoved() -> int:
        reads.release()
        return 7

    monkeypatch.setattr(reading, "_read", unmoved)
    with reading.report_reads(steps.append):
        assert all(reads.acquire(timeout=5) for _ in range(5))
    assert steps == []


def test_the_description_is_available_before_a_load(mount: Mounted) -> None:
    about = engines.create(mount.settings()).describe()
    assert [voice.id for voice in about.voices] == ["anna", "bert"]
    assert (about.concurrency, about.seeds, about.prompts, about.transcripts) == (1, True, True, True)
    assert (about.speeds, about.device) == (False, "")


def test_libraries_are_offline_and_write_to_the_temporary_folder(mount: Mounted) -> None:
    engines.create(mount.settings())
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_relative_to(mount.root / "tmp")


def test_the_stand_in_enforces_the_constraints_of_upstream(engine: Engine, mount: Mounted) -> None:
    """Without this the tests above would prove nothing."""
    upstream = engine._upstream  # type: ignore[attr-defined]
    front = upstream._models.text_frontend
    mount.module.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(speak, engine)
        assert mount.module.entered.acquire(timeout=5)
        with pytest.raises(AssertionError, match="two threads"):
            front.text_normalize("Now.")
        mount.module.gate.set()
        busy.result(timeout=10)
    first, second = (upstream.begin(Utterance(LONG, "anna"), prompt(), 1) for _ in range(2))
    upstream.speak(first, first.stretches[0].text)
    with pytest.raises(AssertionError, match="of another text"):
        upstream.speak(dataclasses.replace(second, cache=first.cache), second.stretches[0].text)
    copied = {name: list(first.cache[name]) for name in first.cache if name.startswith("cache_")}
    with pytest.raises(AssertionError, match="not fresh"):
        upstream.speak(dataclasses.replace(second, cache=copied), second.stretches[0].text)
    with pytest.raises(ImportError, match="TorchCodec"):
        upstream._models.frontend._extract_speech_feat("anna.wav")
    os.chdir(mount.root)
    with pytest.raises(AssertionError, match="working directory"):
        front.text_normalize("Now.")
