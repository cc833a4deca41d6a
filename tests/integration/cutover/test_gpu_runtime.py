"""An engine with the NVIDIA runtime: app containers use it, and plain Compose sees no change."""

from __future__ import annotations

from pathlib import Path

from harness.addresses import free_port, free_subnet
from harness.nested import nested_engine
from harness.stack import Stack, clone


def test_containers_of_the_cuda_flavour_run_with_the_nvidia_runtime(stack: Stack, tmp_path: Path) -> None:
    image = f"glm-tts-slim:{stack.releases[0]}"
    proxy = stack.container("proxy").attrs["Config"]["Image"]
    # The NVIDIA runtime is runc with a hook; this test checks only which containers use it.
    with nested_engine("--add-runtime", "nvidia=/usr/sbin/runc", project=stack.project) as engine:
        engine.load(image, proxy)
        other = Stack(clone(tmp_path / "clone"), stack.project, free_port(), {**stack.env, **engine.env}, engine.client)
        place = {"PORT": str(other.port), "SUBNET_PREFIX": free_subnet(stack.docker)}
        other.env |= {**place, "CUTOVER_FLAVOUR": "cuda"}
        other.run("build.cutover", "switch", image, "--unverified")
        app = other.container("app-blue")
        assert app.attrs["HostConfig"]["Runtime"] == "nvidia"
        assert "NVIDIA_VISIBLE_DEVICES=all" in app.attrs["Config"]["Env"]
        assert other.container("proxy").attrs["HostConfig"]["Runtime"] == "runc"
        before = other.containers()
        other.compose("up", "-d")
        assert other.containers() == before
        # The settings do not ask for the runtime any more, as if the engine had lost it: .env says what runs.
        other.run("build.cutover", "status", CUTOVER_FLAVOUR="slim")
        other.compose("up", "-d")
        assert other.containers() == before
