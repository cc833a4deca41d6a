"""Fake GPUs: a libnvidia-ml.so.1 built from nvml/nvml.c, its ledger, and an engine that claims memory.

Readers use the real nvidia-ml-py.
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
INSIDE = "/fake"  # mount point of the folder in a container
_HEAD, _CLAIM, _CLAIMS = "<QII", "<IIQd", 64
_SENSORS, _SENSED = "<IIII", 8
_SENSORS_AT = struct.calcsize(_HEAD) + struct.calcsize(_CLAIM) * _CLAIMS
_UNSUPPORTED = 2**32 - 1
LOST = 15  # NVML's code for a GPU that fell off the bus

# Appended to the piper engine of a clone: it claims GPU memory as a real engine does, according to behaviours.json.
ENGINE = """

def _fake_gpu() -> None:
    import ctypes
    import json
    import os
    import time
    from pathlib import Path

    if "FAKE_NVML" not in os.environ:  # verification of the image at build time
        return
    library = ctypes.CDLL("libnvidia-ml.so.1")
    library.fake_claim.argtypes = [ctypes.c_uint, ctypes.c_uint64]
    library.fake_drop.argtypes = [ctypes.c_uint64, ctypes.c_double]
    load, unload, plan, speak = PiperEngine.load, PiperEngine.unload, PiperEngine.plan, PiperEngine.speak

    def behaviour() -> dict:
        behaviours = json.loads((Path(os.environ["FAKE_NVML"]) / "behaviours.json").read_text())
        return {**behaviours["*"], **behaviours.get(os.environ["RELEASE"], {})}

    def _load(self, progress):
        wanted = behaviour()
        device = int(os.environ.get("CUDA_VISIBLE_DEVICES", "GPU-fake-0").rpartition("-")[2])
        if library.fake_claim(device, wanted["bytes"]):
            raise MemoryError("CUDA out of memory")
        for tenth in range(round(wanted["load_s"] * 10)):
            time.sleep(0.1)
            progress(f"tenth {tenth}")
        load(self, progress)

    def _unload(self):
        unload(self)
        wanted = behaviour()
        library.fake_drop(wanted["keeps"], wanted["late_s"])

    def _plan(self, utterance):
        silent = behaviour()["silent"] and utterance.text != "Ready to speak."
        return [replace(chunk, payload=(chunk, silent)) for chunk in plan(self, utterance)]

    def _speak(self, chunk, *, alone=False):
        own, silent = chunk.payload
        return speak(self, own, alone=alone) * (0 if silent else 1)

    PiperEngine.load, PiperEngine.unload = _load, _unload
    PiperEngine.plan, PiperEngine.speak = _plan, _speak


_fake_gpu()
"""


@dataclass
class FakeGpus:
    """A folder with library, ledger and behaviours, mounted at INSIDE in containers."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a process on this host use the fake GPUs."""
        return {"LD_LIBRARY_PATH": str(self.folder), "FAKE_NVML": str(self.folder)}

    def behave(self, release: str = "*", **behaviour: Any) -> None:
        """Set the behaviour of a release's engine: bytes, load_s, keeps (bytes after an unload), late_s, silent."""
        path = self.folder / "behaviours.json"
        behaviours = json.loads(path.read_text()) if path.exists() else {}
        behaviours[release] = behaviours.get(release, {}) | behaviour
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(behaviours))
        fresh.rename(path)

    def plug(self, devices: int) -> None:
        """Set the number of devices."""
        with (self.folder / "ledger").open("r+b") as ledger:
            ledger.seek(struct.calcsize("<Q"))
            ledger.write(struct.pack("<I", devices))

    def sense(
        self, device: int, *, code: int = 0, percent: int | None = 0, celsius: int | None = 0, watts: float | None = 0
    ) -> None:
        """Set a device's sensors; None for an unsupported one. `code` is the error of every call, 0 for none."""
        milliwatts = None if watts is None else round(watts * 1000)
        values = [_UNSUPPORTED if value is None else value for value in (code, percent, celsius, milliwatts)]
        with (self.folder / "ledger").open("r+b") as ledger:
            ledger.seek(_SENSORS_AT + device * struct.calcsize(_SENSORS))
            ledger.write(struct.pack(_SENSORS, *values))

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Block every query of a device's memory until the end of the context."""
        with (self.folder / "ledger").open("rb") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            yield

    def claims(self) -> list[tuple[int, int, int]]:
        """Return (pid, device, bytes) of all entries of the ledger, including those of ended processes."""
        ledger = (self.folder / "ledger").read_bytes()[struct.calcsize(_HEAD) : _SENSORS_AT]
        rows = [row[:3] for row in struct.iter_unpack(_CLAIM, ledger)]
        return [row for row in rows if row[2]]


def make(folder: Path, *, total: int = 16 * GIB, devices: int = 1) -> FakeGpus:
    """Build the library, with devices whose memory is free."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", folder / LIBRARY, SOURCE], check=True
    )
    ledger = folder / "ledger"
    claims, sensors = struct.calcsize(_CLAIM) * _CLAIMS, struct.calcsize(_SENSORS) * _SENSED
    ledger.write_bytes(struct.pack(_HEAD, total, devices, 0) + bytes(claims + sensors))
    ledger.chmod(0o666)  # the containers run as other users
    folder.chmod(0o755)
    gpus = FakeGpus(folder)
    gpus.behave(bytes=10 * GIB, load_s=1.0, keeps=0, late_s=0.0, silent=False)
    return gpus


@contextlib.contextmanager
def stack_on(gpus: FakeGpus, scratch: Path, beside: Stack | None = None) -> Iterator[Stack]:
    """Yield a stack on those GPUs with a first release live, whose engine claims their memory."""
    with fresh_stack(scratch, beside) as stack:
        install(gpus, stack)
        stack.release("the first, which claims GPU memory")
        stack.run("build.cutover", "switch")
        yield stack


def install(gpus: FakeGpus, stack: Stack, at: str = "") -> None:
    """Mount the GPUs in the stack's colours, and make its engine claim their memory; before its first release.

    `at` is the path of their folder for the stack's Docker engine, if that is not this machine's.
    """
    orders = "volumes:\n    - orders:/run/orders:ro\n"
    mounted = f"pid: host\n  {orders}    - {at or gpus.folder}:{INSIDE}\n"
    variables = f"LD_LIBRARY_PATH: {INSIDE}, FAKE_NVML: {INSIDE}"
    stack.edit_compose((orders, mounted), ("{<<: *environment, ", f"{{<<: *environment, {variables}, "))
    engine = stack.root / "service/engines/piper.py"
    engine.write_text(engine.read_text() + ENGINE)


def renamed(stack: Stack, name: str, *labels: str) -> str:
    """Build a release that differs from the first only in its name, which selects its engine's behaviour."""
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
