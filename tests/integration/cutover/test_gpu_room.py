"""Two projects and the gate on one GPU: no model is loaded without room for it.

The GPU is a fake NVML (harness/gpu.py), read by the real nvidia-ml-py in the containers.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest

from build.docker.engine import DockerEngine
from build.errors import InsufficientGpuMemoryError
from build.target.gpu_reservations import GpuReservations, name
from harness import gpu
from harness.gpu import GIB, FakeGpus, renamed
from harness.stack import Stack, fresh_stack, wait_for

NEED = f"ai.glm-tts.vram-bytes={10 * GIB}"
LONG_S = 600


@pytest.fixture
def gpus(tmp_path_factory: pytest.TempPathFactory) -> FakeGpus:
    """A fake GPU of 16 GiB; a model uses 10 of them, after 3 seconds."""
    folder = tmp_path_factory.mktemp("gpus") / "gpus"
    folder.parent.chmod(0o755)
    made = gpu.make(folder)
    made.behave(load_s=3.0)
    return made


@pytest.fixture
def device() -> Iterator[str]:
    """The UUID of a GPU that no other test reserves."""
    device = f"GPU-{uuid.uuid4()}"
    yield device
    engine = DockerEngine()
    if container := engine.container(name(device)):
        engine.remove(container)


def test_a_gpu_has_one_reservation_until_it_is_released(stack: Stack, device: str) -> None:
    reservations, image = GpuReservations(DockerEngine()), stack.newest_image()
    assert reservations.acquire("one", [device], image, LONG_S) == ""
    assert "one" in reservations.acquire("other", [device], image, LONG_S)
    assert reservations.acquire("one", [device], image, LONG_S) == "", "a command that was killed is run again"
    reservations.release("other")
    assert "one" in reservations.acquire("other", [device], image, LONG_S)
    reservations.release("one")
    assert reservations.acquire("other", [device], image, LONG_S) == ""
    reservations.release("other")
    assert DockerEngine().container(name(device)) is None


def test_several_gpus_are_reserved_together_or_not_at_all(stack: Stack, device: str) -> None:
    reservations, image = GpuReservations(DockerEngine()), stack.newest_image()
    reservations.acquire("one", [f"{device}-b"], image, LONG_S)
    assert "one" in reservations.acquire("other", [f"{device}-b", f"{device}-a"], image, LONG_S)
    assert reservations.acquire("third", [f"{device}-a"], image, LONG_S) == ""
    for owner in ("one", "third"):
        reservations.release(owner)


def test_a_reservation_of_a_killed_process_ends_by_itself(stack: Stack, device: str) -> None:
    reservations, image = GpuReservations(DockerEngine()), stack.newest_image()
    reservations.acquire("killed", [device], image, expiry_s=1)
    wait_for("the next owner", lambda: not reservations.acquire("next", [device], image, LONG_S))


def test_two_first_releases_on_one_gpu_do_not_both_load(
    stack: Stack, gpus: FakeGpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with contextlib.ExitStack() as open_stacks:
        stacks = [open_stacks.enter_context(fresh_stack(tmp_path_factory.mktemp("room"), stack)) for _ in range(2)]
        for number, project in enumerate(stacks):
            gpu.install(gpus, project)
            project.release(f"claims GPU memory {number}")
        images = [renamed(project, f"known-{number}", NEED) for number, project in enumerate(stacks)]
        processes = [
            project.start("build.cutover", "switch", image, "--unverified")
            for project, image in zip(stacks, images, strict=True)
        ]
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        codes = sorted(process.returncode for process in processes)
        assert codes == [0, InsufficientGpuMemoryError.exit_code], "\n".join(outputs)
        refused = next(output for output in outputs if "too little memory" in output)
        assert "needs 10.0 GiB" in refused
        assert "6.0 GiB free" in refused
        served = stacks[[process.returncode for process in processes].index(0)]
        done = served.run("build.cutover", "gate", images[stacks.index(served)], check=False)
        assert done.returncode == InsufficientGpuMemoryError.exit_code, done.stderr
        assert "the live release uses 10.0 GiB" in " ".join(done.stderr.split())
