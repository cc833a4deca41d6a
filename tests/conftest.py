"""One stack for each process of tests, made the way a user makes it."""

from __future__ import annotations

import fcntl
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.load import capacity
from harness.registry import Running, running_registry
from harness.stack import Stack, fresh_stack
from tests import BYTECODE

HALF = 0.5
MOST_PER_S = 10.0


def pytest_configure() -> None:
    """Have what tests start heed Ctrl-C: what a shell puts in the background is deaf to it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Drop the bytecode of temporary clones: no later run finds them."""
    shutil.rmtree(BYTECODE / Path(tempfile.gettempdir()).relative_to("/"), ignore_errors=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a first release live."""
    scratch: Path = tmp_path_factory.mktemp("stack")
    with fresh_stack(scratch) as stack:
        stack.env["CUTOVER_GATE_SYNTHESES"] = "1"  # tests of the gate set their own
        # Two processes that both find no base would build two, each on a stand-in channel of its own.
        with (Path(tempfile.gettempdir()) / "glm-tts-test-first-build").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            stack.release("the first")
        stack.run("build.cutover", "switch")
        yield stack


@pytest.fixture(scope="session")
def registry_of_all(stack: Stack) -> Iterator[Running]:
    """A registry for all modules: to pack a base takes the engine half a minute, once for each registry."""
    with running_registry(project=stack.project, deletes=True) as found:
        stack.registries.append(found.host)
        yield found


@pytest.fixture(scope="module")
def running(registry_of_all: Running, request: pytest.FixtureRequest) -> Running:
    """A registry with nothing in it: the module's own namespace of the one."""
    return registry_of_all.within(request.module.__name__.rpartition(".")[2])


@pytest.fixture(scope="session")
def rate(stack: Stack) -> float:
    """Half of what this machine carries, in short requests a second."""
    return min(MOST_PER_S, HALF * capacity(stack.url))
