"""An engine that replays recordings of the real voice: traffic faults need valid audio, not two busy cores."""

from __future__ import annotations

from harness.gpu import FakeGpus
from harness.stack import Stack

# Appended to the piper engine of a clone. A new text is synthesized by the real voice and recorded for all releases.
ENGINE = """

def _recorded() -> None:
    import hashlib
    import os
    import threading
    import time
    from pathlib import Path

    if "FAKE_NVML" not in os.environ:  # verification of the image at build time
        return
    prepare, load, plan, speak = PiperEngine.prepare, PiperEngine.load, PiperEngine.plan, PiperEngine.speak
    folder, lock = Path(os.environ["FAKE_NVML"], "spoken"), threading.Lock()

    def _prepare(self):
        pass

    def _load(self, progress):
        self.sample_rate, self._models = 22050, {"recorded": None}
        progress("recordings are mounted")

    def _record(self, utterance, path):
        with lock:
            if "recorded" in self._models:
                prepare(self)
                load(self, lambda _: None)
            pieces = [speak(self, chunk) for chunk in plan(self, utterance)]
        fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with fresh.open("wb") as file:
            np.savez(file, *pieces)
        fresh.rename(path)

    def _plan(self, utterance):
        if not self._models:
            raise EngineError("the model is not loaded")
        path = folder / hashlib.sha256(repr(utterance).encode()).hexdigest()
        if not path.exists():
            _record(self, utterance, path)
        with np.load(path) as recording:
            pieces = [recording[f"arr_{number}"] for number in range(len(recording.files))]
        return [Chunk(samples, len(samples)) for samples in pieces]

    def _speak(self, chunk, *, alone=False):
        time.sleep(len(chunk.payload) / self.sample_rate * PACE)
        return chunk.payload

    def _describe(self):
        device = runtime.CPU if self._models else ""
        return Description("piper", "en_US-joe-medium", device, embedded_voice.VOICES, self._concurrency)

    PiperEngine.prepare, PiperEngine.load = _prepare, _load
    PiperEngine.plan, PiperEngine.speak, PiperEngine.describe = _plan, _speak, _describe


PACE = 0.1  # of real time; about the speed of the voice on an idle core
_recorded()
"""


def install(gpus: FakeGpus, stack: Stack) -> None:
    """Make the stack's engine replay recordings. Call it before `gpu.install`, whose engine wraps this one."""
    spoken = gpus.folder / "spoken"
    spoken.mkdir()
    spoken.chmod(0o777)  # the containers run as other users
    engine = stack.root / "service/engines/piper.py"
    engine.write_text(engine.read_text() + ENGINE)
