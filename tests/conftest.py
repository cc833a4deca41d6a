"""One stack for all end-to-end tests, made the way a user makes it."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import BYTECODE
from tests.support.load import capacity
from tests.support.stack import Stack, fresh_stack

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
        stack.release("the first")
        stack.run("build.cutover", "switch")
        yield stack


@pytest.fixture(scope="session")
def rate(stack: Stack) -> float:
    """Half of what this machine carries, in short requests a second."""
    return min(MOST_PER_S, HALF * capacity(stack.url))
