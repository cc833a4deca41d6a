"""GPUs that are not there: a libnvidia-ml.so.1 built from nvml/nvml.c, its ledger, and an engine that claims memory.

Everything that looks does so through the real nvidia-ml-py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.stack import Stack, fresh_stack

GIB = 2**30
SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
LIBRARY = "libnvidia-ml.so.1"
INSIDE = "/fake"  # where the folder is seen in a container
_HEAD, _CLAIM, _CLAIMS = "<QII", "<IIQd", 64
_SENSORS, _SENSED = "<IIII", 8
_SENSORS_AT = struct.calcsize(_HEAD) + struct.calcsize(_CLAIM) * _CLAIMS
_CANNOT_TELL = 2**32 - 1
LOST = 15  # NVML's code for a GPU that has fallen off the bus

# Appended to the piper engine of a clone: it claims GPU memory as a real one would, by behaviours.json.
ENGINE = """

def _fake_gpu() -> None:
    import ctypes
    import json
    import os
    import time
    from pathlib import Path

    if "FAKE_NVML" not in os.environ:  # the build, which looks into the image
        return
    library = ctypes.CDLL("libnvidia-ml.so.1")
    library.fake_claim.argtypes = [ctypes.c_uint, ctypes.c_uint64]
    library.fake_drop.argtypes = [ctypes.c_uint64, ctypes.c_double]
    load, unload, synthesize = PiperEngine.load, PiperEngine.unload, PiperEngine.synthesize

    def behaviour() -> dict:
        told = json.loads((Path(os.environ["FAKE_NVML"]) / "behaviours.json").read_text())
        return {**told["*"], **told.get(os.environ["RELEASE"], {})}

    def _load(self, progress):
        told = behaviour()
        device = int(os.environ.get("CUDA_VISIBLE_DEVICES", "GPU-fake-0").rpartition("-")[2])
        if library.fake_claim(device, told["bytes"]):
            raise MemoryError("CUDA out of memory")
        for tenth in range(round(told["load_s"] * 10)):
            time.sleep(0.1)
            progress(f"tenth {tenth}")
        load(self, progress)

    def _unload(self):
        unload(self)
        told = behaviour()
        library.fake_drop(told["keeps"], told["late_s"])

    def _synthesize(self, utterance):
        silent = behaviour()["silent"] and utterance.text != "Ready to speak."
        for piece in synthesize(self, utterance):
            yield piece._replace(samples=piece.samples * 0) if silent else piece

    PiperEngine.load, PiperEngine.unload, PiperEngine.synthesize = _load, _unload, _synthesize


_fake_gpu()
"""


@dataclass
class FakeGpus:
    """A folder with library, ledger and behaviours, to be mounted at INSIDE."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process on this host see them."""
        return {"LD_LIBRARY_PATH": str(self.folder), "FAKE_NVML": str(self.folder)}

    def behave(self, release: str = "*", **behaviour: Any) -> None:
        """How a release's engine is: bytes, load_s, keeps (bytes after an unload), late_s, silent."""
        path = self.folder / "behaviours.json"
        told = json.loads(path.read_text()) if path.exists() else {}
        told[release] = told.get(release, {}) | behaviour
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.rename(path)

    def plug(self, devices: int) -> None:
        """From now on there are so many."""
        with (self.folder / "ledger").open("r+b") as ledger:
            ledger.seek(struct.calcsize("<Q"))
            ledger.write(struct.pack("<I", devices))

    def sense(
        self, device: int, *, code: int = 0, percent: int | None = 0, celsius: int | None = 0, watts: float | None = 0
    ) -> None:
        """What a device feels; None for what it cannot tell, `code` for a device that fails at everything."""
        milliwatts = None if watts is None else round(watts * 1000)
        told = [_CANNOT_TELL if value is None else value for value in (code, percent, celsius, milliwatts)]
        with (self.folder / "ledger").open("r+b") as ledger:
            ledger.seek(_SENSORS_AT + device * struct.calcsize(_SENSORS))
            ledger.write(struct.pack(_SENSORS, *told))

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Until the end of the context whoever asks a device for its memory gets no answer."""
        with (self.folder / "ledger").open("rb") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            yield

    def claims(self) -> list[tuple[int, int, int]]:
        """(pid, device, bytes) of all that is written down, of ended processes too."""
        ledger = (self.folder / "ledger").read_bytes()[struct.calcsize(_HEAD) : _SENSORS_AT]
        rows = [row[:3] for row in struct.iter_unpack(_CLAIM, ledger)]
        return [row for row in rows if row[2]]


def make(folder: Path, *, total: int = 16 * GIB, devices: int = 1) -> FakeGpus:
    """Builds the library, and devices that hold nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", folder / LIBRARY, SOURCE], check=True
    )
    ledger = folder / "ledger"
    claims, sensors = struct.calcsize(_CLAIM) * _CLAIMS, struct.calcsize(_SENSORS) * _SENSED
    ledger.write_bytes(struct.pack(_HEAD, total, devices, 0) + bytes(claims + sensors))
    ledger.chmod(0o666)  # the containers' users are others
    folder.chmod(0o755)
    gpus = FakeGpus(folder)
    gpus.behave(bytes=10 * GIB, load_s=1.0, keeps=0, late_s=0.0, silent=False)
    return gpus


@contextlib.contextmanager
def stack_on(gpus: FakeGpus, scratch: Path, beside: Stack | None = None) -> Iterator[Stack]:
    """A stack on those GPUs with a first release live, whose engine claims their memory."""
    with fresh_stack(scratch, beside) as stack:
        give(gpus, stack)
        stack.release("the first, which claims GPU memory")
        stack.run("build.cutover", "switch")
        yield stack


def give(gpus: FakeGpus, stack: Stack, at: str = "") -> None:
    """Has the stack's colours see the GPUs, and its engine claim their memory; before its first release.

    `at` is where the stack's Docker engine finds their folder, if it is not this machine's.
    """
    orders = "volumes:\n    - orders:/run/orders:ro\n"
    seen = f"pid: host\n  {orders}    - {at or gpus.folder}:{INSIDE}\n"
    told = f"LD_LIBRARY_PATH: {INSIDE}, FAKE_NVML: {INSIDE}"
    stack.edit_compose((orders, seen), ("{<<: *told, ", f"{{<<: *told, {told}, "))
    engine = stack.root / "service/engines/piper.py"
    engine.write_text(engine.read_text() + ENGINE)


def renamed(stack: Stack, name: str, *labels: str) -> str:
    """A release that differs from the first in nothing but its name, by which its engine knows how to behave."""
    tag = f"glm-tts-slim-hold:{name}-{stack.project}"
    words = " ".join((f"ai.glm-tts.release={name}", f"org.opencontainers.image.revision={stack.releases[0]}", *labels))
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--tag", tag, "-"],
        input=f"FROM glm-tts-slim:{stack.releases[0]}\nENV RELEASE={name}\nLABEL {words}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    return tag
