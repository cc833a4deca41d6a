"""A stack for fault injection: on a fake GPU, with a small disk for its journal and adjustable wall clocks."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from build import settings
from build.docker.engine import DockerEngine
from build.model.colours import Colour
from build.model.labels import PROXY_REPOSITORY
from build.state.journal import FILE
from build.target import status
from build.target.status import TargetStatus
from build.target.target import ComposeTarget
from harness import gpu
from harness.chaos import canned_speech
from harness.gpu import GIB, FakeGpus
from harness.load import capacity, hammering
from harness.nested import INSIDE as INSIDE_NESTED
from harness.nested import Nested, nested_engine
from harness.stack import Stack, fresh_stack

MOST_PER_S, SHARE = 10.0, 0.5
LIBRARY, INSIDE = "clock.so", "/clock"
RELEASES = ("alpha", "beta")
FOLDER = str(Path(FILE).parent)
DISK_MB = 16
# Limits that detect a faulty candidate soon.
PATIENCE = {
    "CUTOVER_GATE_SYNTHESES": "2",
    "CUTOVER_GATE_TIMEOUT_S": "10",
    "CUTOVER_CANARY_SAMPLES": "10",
    "CUTOVER_CANARY_SLOWER": "20",  # other tests load the machine
    "CUTOVER_DRAIN_LONG_S": "60",
}


@dataclass
class Clocks:
    """The wall clocks of the orchestrator (`operator`) and the target."""

    folder: Path

    def set_ahead(self, clock: str, seconds: int) -> None:
        """Set a clock ahead of the true time."""
        path = self.folder / clock
        path.write_text(f"{seconds}\n")
        path.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the orchestrator's process."""
        return {"LD_PRELOAD": str(self.folder / LIBRARY), "JUMPED_CLOCK": str(self.folder / "operator")}

    def install(self, stack: Stack) -> None:
        """Make the stack's agent, which writes the journal's timestamps, use the target's clock."""
        project, state = "      AGENT_PROJECT:", "      - cutover-state:/var/lib/cutover\n"
        clock = f"      LD_PRELOAD: {INSIDE}/{LIBRARY}\n      JUMPED_CLOCK: {INSIDE}/target\n"
        stack.edit_compose((project, f"{clock}{project}"), (state, f"{state}      - {self.folder}:{INSIDE}:ro\n"))


def clocks(folder: Path) -> Clocks:
    """Build the library; both clocks are correct."""
    folder.mkdir(parents=True)
    source = Path(__file__).with_name("clock.c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", folder / LIBRARY, source], check=True
    )
    folder.chmod(0o755)
    built = Clocks(folder)
    for clock in ("operator", "target"):
        built.set_ahead(clock, 0)
    return built


@dataclass
class ChaosStack:
    """The stack, two releases, and the means of injecting faults."""

    stack: Stack
    gpus: FakeGpus
    clocks: Clocks
    rate: float
    references: dict[str, str]
    nested: Nested | None = None

    def status(self) -> TargetStatus:
        """Return the same as `build.cutover status`, without a new process."""
        return status.read(self.target)

    @cached_property
    def target(self) -> ComposeTarget:
        """The stack as the orchestrator's target, in this process."""
        engine = DockerEngine()
        engine.client = self.stack.docker
        return ComposeTarget(settings.load(self.stack.root, self.stack.env), engine)

    def live(self) -> tuple[Colour, str]:
        """Return the live colour and its release."""
        found = self.status()
        release = found.stack[found.live].release if found.live else None
        assert found.live, found
        assert release, found
        return found.live, release.sha

    def load_standby(self, release: str) -> None:
        """Load the release in the idle colour, as a switch to the live one leaves it."""
        live, name = self.live()
        for target in (release, name):
            self.stack.run(
                "build.cutover",
                "switch",
                self.references[target],
                "--unverified",
                "--soak",
                "0",
                CUTOVER_GATE_SYNTHESES="1",
            )
        assert self.live() == (live, name)

    def container(self, colour: Colour) -> Any:
        return self.stack.container(colour.slots[0].service)

    def run_in_agent(self, script: str) -> str:
        """Run a shell script in the agent's container, in the journal's folder; return its output."""
        code, output = self.stack.container("agent").exec_run(["sh", "-c", script], workdir=FOLDER)
        assert code == 0, output
        return str(output.decode())

    def newest(self) -> dict[str, Any]:
        """Return the journal's last record."""
        return self.stack.journal()[-1]

    def restart_engine(self, options: tuple[str, ...]) -> None:
        """Restart the separate engine, and redeploy the stack on it, if its options differ."""
        assert self.nested
        if tuple(self.nested.options) != options:
            self.nested.kill("TERM")
            self.nested.options = options
            self.nested.start()
            self.redeploy()

    def redeploy(self) -> None:
        """Make the first release live again with an empty journal, in any state."""
        self.stack.compose("--profile", "*", "down", "--volumes")
        (self.stack.root / ".env").unlink(missing_ok=True)
        for clock in ("operator", "target"):
            self.clocks.set_ahead(clock, 0)
        self.stack.run("build.cutover", "switch", self.references[RELEASES[0]], "--unverified")


@contextlib.contextmanager
def chaos_stack(scratch: Path, beside: Stack | None = None) -> Iterator[ChaosStack]:
    """Yield a stack with `alpha` live; remove it at the end."""
    scratch.chmod(0o755)  # containers of other users read it
    gpus, wall_clocks = gpu.make(scratch / "gpus"), clocks(scratch / "clocks")
    gpus.behave(bytes=GIB)  # both releases fit, so a hold happens on demand only
    with fresh_stack(scratch, beside) as stack:
        wall_clocks.install(stack)
        _limit_disk(stack)
        yield _deployed(stack, gpus, wall_clocks, _built(stack, gpus))


@contextlib.contextmanager
def nested_chaos_stack(scratch: Path) -> Iterator[ChaosStack]:
    """Yield the same on a separate engine that can be killed, without small disk and adjustable clocks."""
    with fresh_stack(scratch) as host_stack, nested_engine("--live-restore", project=host_stack.project) as nested:
        nested.folder.chmod(0o755)
        gpus, wall_clocks = gpu.make(nested.folder / "gpus"), clocks(nested.folder / "clocks")
        gpus.behave(bytes=GIB)
        host_stack.edit_compose(('"${PUBLISH:-127.0.0.1}:${PORT', '"${PORT'))  # reached from the host
        references = _built(host_stack, gpus, at=f"{INSIDE_NESTED}/gpus")
        proxy = DockerEngine().images(PROXY_REPOSITORY)[0].tags[0]
        nested.load(proxy, *references.values())
        env = {**host_stack.env, "DOCKER_HOST": nested.host}
        stack = replace(host_stack, env=env, docker=nested.client, host=nested.address)
        with patch.dict(os.environ, {"DOCKER_HOST": nested.host}):  # for the sessions of this process's target
            chaos = _deployed(stack, gpus, wall_clocks, references)
            chaos.nested = nested
            yield chaos


def _built(stack: Stack, gpus: FakeGpus, at: str = "") -> dict[str, str]:
    """Build the two releases; return their references by name."""
    canned_speech.install(gpus, stack)
    gpu.install(gpus, stack, at)
    stack.release("chaos")
    return {name: gpu.renamed(stack, name, f"ai.glm-tts.vram-bytes={GIB}") for name in RELEASES}


def _deployed(stack: Stack, gpus: FakeGpus, wall_clocks: Clocks, references: dict[str, str]) -> ChaosStack:
    stack.run("build.cutover", "switch", references[RELEASES[0]], "--unverified")
    with hammering(stack.url, 1) as load:  # records each text
        load.ask_long(streamed=True)
    return ChaosStack(stack, gpus, wall_clocks, min(MOST_PER_S, SHARE * capacity(stack.url)), references)


def _limit_disk(stack: Stack) -> None:
    small = f'driver_opts: {{type: tmpfs, device: tmpfs, o: "size={DISK_MB}m,uid=10002,gid=10002"}}'
    stack.edit_compose(("\n  cutover-state:\n", f"\n  cutover-state:\n    {small}\n"))
