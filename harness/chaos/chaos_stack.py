"""A stack to break: on a GPU that is not there, with a small disk for its journal and wall clocks that jump."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

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
# A faulty candidate is waited for no longer than it takes to see that it is one.
PATIENCE = {
    "CUTOVER_GATE_SYNTHESES": "2",
    "CUTOVER_GATE_TIMEOUT_S": "10",
    "CUTOVER_CANARY_SAMPLES": "10",
    "CUTOVER_CANARY_SLOWER": "20",  # faults are what is looked for here, on a machine that has others to serve
    "CUTOVER_DRAIN_LONG_S": "60",
}


@dataclass
class Clocks:
    """The orchestrator's wall clock and the target's: `ahead` of the true one by seconds, from the next look on."""

    folder: Path

    def ahead(self, whose: str, seconds: int) -> None:
        path = self.folder / whose
        path.write_text(f"{seconds}\n")
        path.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        """For the orchestrator's process."""
        return {"LD_PRELOAD": str(self.folder / LIBRARY), "JUMPED_CLOCK": str(self.folder / "operator")}

    def give(self, stack: Stack) -> None:
        """Has the stack's state container, which stamps the journal, look at the target's clock."""
        volumes = '    volumes: ["cutover-state:/var/lib/cutover", "orders:/run/orders"'
        told = f"    environment: {{LD_PRELOAD: {INSIDE}/{LIBRARY}, JUMPED_CLOCK: {INSIDE}/target}}\n"
        stack.edit_compose((volumes, f'{told}{volumes}, "{self.folder}:{INSIDE}:ro"'))


def clocks(folder: Path) -> Clocks:
    """Builds the library; both clocks are right."""
    folder.mkdir(parents=True)
    source = Path(__file__).with_name("clock.c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", folder / LIBRARY, source], check=True
    )
    folder.chmod(0o755)
    made = Clocks(folder)
    for whose in ("operator", "target"):
        made.ahead(whose, 0)
    return made


@dataclass
class Bed:
    """The stack, two releases to move between, and what makes faults."""

    stack: Stack
    gpus: FakeGpus
    clocks: Clocks
    rate: float
    references: dict[str, str]
    nested: Nested | None = None

    def status(self) -> TargetStatus:
        """What `build.cutover status` knows, without the start of a process."""
        return status.read(self.target)

    @cached_property
    def target(self) -> ComposeTarget:
        """The stack as the orchestrator sees it, from this process."""
        engine = DockerEngine()
        engine.client = self.stack.docker
        return ComposeTarget(settings.load(self.stack.root, self.stack.env), engine)

    def live(self) -> tuple[Colour, str]:
        """Colour and release."""
        found = self.status()
        release = found.stack[found.live].release if found.live else None
        assert found.live, found
        assert release, found
        return found.live, release.sha

    def have_standing_by(self, release: str) -> None:
        """The release that is not live, loaded, in the colour that is out of rotation: as a switch leaves it."""
        live, name = self.live()
        for each in (release, name):
            self.stack.run(
                "build.cutover",
                "switch",
                self.references[each],
                "--unverified",
                "--soak",
                "0",
                CUTOVER_GATE_SYNTHESES="1",
            )
        assert self.live() == (live, name)

    def container(self, colour: Colour) -> Any:
        return self.stack.container(colour.slots[0].service)

    def in_state(self, script: str) -> str:
        """Runs a shell script in the state container, in the journal's folder."""
        code, said = self.stack.container("state").exec_run(["sh", "-c", script], workdir=FOLDER)
        assert code == 0, said
        return str(said.decode())

    def newest(self) -> dict[str, Any]:
        """The journal's last record."""
        return self.stack.journal()[-1]

    def on(self, options: tuple[str, ...]) -> None:
        """Has the engine of its own run with these options, and the stack begin anew on it where they are others."""
        assert self.nested
        if tuple(self.nested.options) != options:
            self.nested.kill("TERM")
            self.nested.options = options
            self.nested.start()
            self.afresh()

    def afresh(self) -> None:
        """Whatever a fault left, the first of the releases is live again; the journal begins anew."""
        self.stack.compose("--profile", "*", "down", "--volumes")
        (self.stack.root / ".env").unlink(missing_ok=True)
        for whose in ("operator", "target"):
            self.clocks.ahead(whose, 0)
        self.stack.run("build.cutover", "switch", self.references[RELEASES[0]], "--unverified")


@contextlib.contextmanager
def bed(scratch: Path, beside: Stack | None = None) -> Iterator[Bed]:
    """A stack with `alpha` live; removed at the end."""
    scratch.chmod(0o755)  # containers of other users look into it
    gpus, wall = gpu.make(scratch / "gpus"), clocks(scratch / "clocks")
    gpus.behave(bytes=GIB)  # so that both releases fit, and a hold is a wish
    with fresh_stack(scratch, beside) as stack:
        wall.give(stack)
        _limit_disk(stack)
        yield _deployed(stack, gpus, wall, _built(stack, gpus))


@contextlib.contextmanager
def nested_bed(scratch: Path) -> Iterator[Bed]:
    """The same on an engine of its own, which can be killed: without small disk and jumping clocks."""
    with fresh_stack(scratch) as made, nested_engine("--live-restore", project=made.project) as nested:
        nested.folder.chmod(0o755)
        gpus, wall = gpu.make(nested.folder / "gpus"), clocks(nested.folder / "clocks")
        gpus.behave(bytes=GIB)
        made.edit_compose(('"${PUBLISH:-127.0.0.1}:${PORT', '"${PORT'))  # reached from without
        references = _built(made, gpus, at=f"{INSIDE_NESTED}/gpus")
        proxy = DockerEngine().images(PROXY_REPOSITORY)[0].tags[0]
        nested.load(proxy, *references.values())
        env = {**made.env, "DOCKER_HOST": nested.host}
        stack = replace(made, env=env, docker=nested.client, host=nested.address)
        bed = _deployed(stack, gpus, wall, references)
        bed.nested = nested
        yield bed


def _built(stack: Stack, gpus: FakeGpus, at: str = "") -> dict[str, str]:
    """The two releases, by name."""
    canned_speech.give(gpus, stack)
    gpu.give(gpus, stack, at)
    stack.release("the first, which is to be broken")
    return {name: gpu.renamed(stack, name, f"ai.glm-tts.vram-bytes={GIB}") for name in RELEASES}


def _deployed(stack: Stack, gpus: FakeGpus, wall: Clocks, references: dict[str, str]) -> Bed:
    stack.run("build.cutover", "switch", references[RELEASES[0]], "--unverified")
    with hammering(stack.url, 1) as load:  # each text is said once, and is a recording from then on
        load.ask_long(streamed=True)
    return Bed(stack, gpus, wall, min(MOST_PER_S, SHARE * capacity(stack.url)), references)


def _limit_disk(stack: Stack) -> None:
    small = f'driver_opts: {{type: tmpfs, device: tmpfs, o: "size={DISK_MB}m,uid=10002,gid=10002"}}'
    stack.edit_compose(("\n  cutover-state:\n", f"\n  cutover-state:\n    {small}\n"))
