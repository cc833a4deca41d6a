"""One stack per test process, deployed with the user's commands."""

from __future__ import annotations

import fcntl
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import BYTECODE
from harness.load import capacity
from harness.registry import Running, running_registry
from harness.stack import Stack, fresh_stack

HALF = 0.5
MOST_PER_S = 10.0


def pytest_configure() -> None:
    """Let child processes receive Ctrl-C: a shell's background job ignores SIGINT, and its children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Delete the bytecode of temporary clones, which no later run uses."""
    shutil.rmtree(BYTECODE / Path(tempfile.gettempdir()).relative_to("/"), ignore_errors=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a stack with a first release live."""
    scratch: Path = tmp_path_factory.mktemp("stack")
    with fresh_stack(scratch) as stack:
        stack.env["CUTOVER_GATE_SYNTHESES"] = "1"  # tests of the gate set their own
        # Without this lock two processes without a base would build two, each on a separate stand-in channel.
        with (Path(tempfile.gettempdir()) / "glm-tts-test-first-build").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stack.release("first release")
        stack.run("build.cutover", "switch")
        yield stack


@pytest.fixture(scope="session")
def registry_of_all(stack: Stack) -> Iterator[Running]:
    """Run a registry for all modules: the push of a base takes half a minute per registry."""
    with running_registry(project=stack.project, deletes=True) as registry:
        stack.registries.append(registry.host)
        yield registry


@pytest.fixture(scope="module")
def running(registry_of_all: Running, request: pytest.FixtureRequest) -> Running:
    """Return an empty registry: a namespace of the shared one for this module."""
    return registry_of_all.within(request.module.__name__.rpartition(".")[2])


@pytest.fixture(scope="session")
def rate(stack: Stack) -> float:
    """Return half the capacity of this machine, in short requests per second."""
    return min(MOST_PER_S, HALF * capacity(stack.url))
