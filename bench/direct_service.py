"""The engine without a service, in the live release's container (bench.engine_only) while the service is idle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench import engine_only
from harness.stack import Stack


@dataclass(frozen=True)
class Rate:
    """Throughput per second."""

    clips: float
    audio_s: float


def rate(stack: Stack, way: str, texts: list[str]) -> Rate:
    """Synthesize texts in the live release's container, one at a time per core; `way` is `alone` or `processes`."""
    argv = [*_python(stack), way]
    process = subprocess.run(
        argv, env=stack.env, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True
    )
    return Rate(*json.loads(process.stdout))


class Engine:
    """The engine in a separate process, with one text at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._stdin, self._stdout = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        self._read()

    def seconds(self, text: str) -> float:
        """Return the seconds that a synthesis took, measured in the engine's process."""
        self._stdin.write(json.dumps(text) + "\n")
        self._stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        line = self._stdout.readline()
        if not line:
            raise RuntimeError("the engine in the service's container exited; its output is above")
        return line


@contextmanager
def engine(stack: Stack) -> Iterator[Engine]:
    """Yield an engine in the live release's container, with its model loaded."""
    argv = [*_python(stack), "single"]
    with subprocess.Popen(
        argv, env=stack.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield Engine(process)


def url(stack: Stack) -> str:
    """Return the URL of the live release without the proxy, for clients on its engine's machine."""
    (network,) = stack.live_app().attrs["NetworkSettings"]["Networks"].values()
    return f"http://{network['IPAddress']}:7860"


def _python(stack: Stack) -> list[str]:
    return [
        "docker",
        "exec",
        "--interactive",
        stack.live_app().name,
        "python",
        "-c",
        Path(engine_only.__file__).read_text(),
    ]
