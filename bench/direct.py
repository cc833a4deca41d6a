"""The engine without a service: beside it, in its own container (bench.bare), while it has nothing to do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench import bare
from tests.support.stack import Stack


@dataclass(frozen=True)
class Rate:
    """How much comes about in a second."""

    clips: float
    audio_s: float


def rate(stack: Stack, way: str, texts: list[str]) -> Rate:
    """Has the live release's container say texts, as many at a time as it has cores, `alone` or by `processes`."""
    argv = [*_python(stack), way]
    told = subprocess.run(argv, env=stack.env, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True)
    return Rate(*json.loads(told.stdout))


class Engine:
    """The engine in a process of its own, asked for one text at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._asked, self._told = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        self._read()

    def seconds(self, text: str) -> float:
        """How long it took to say it, measured beside the engine."""
        self._asked.write(json.dumps(text) + "\n")
        self._asked.flush()
        return float(self._read())

    def _read(self) -> str:
        line = self._told.readline()
        if not line:
            raise RuntimeError("the engine beside the service has ended; what it said is above")
        return line


@contextmanager
def engine(stack: Stack) -> Iterator[Engine]:
    """An engine beside the live release, its model loaded."""
    argv = [*_python(stack), "each"]
    with subprocess.Popen(
        argv, env=stack.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield Engine(process)


def url(stack: Stack) -> str:
    """The live release itself, without the proxy: for whoever is on the machine of its engine."""
    (network,) = stack.live_app().attrs["NetworkSettings"]["Networks"].values()
    return f"http://{network['IPAddress']}:7860"


def _python(stack: Stack) -> list[str]:
    return ["docker", "exec", "--interactive", stack.live_app().name, "python", "-c", Path(bare.__file__).read_text()]
