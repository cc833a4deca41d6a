"""Send requests one after the other on a keep-alive connection, with as little code as possible.

The client shares the processors with the service: a slow client would distort the measurement.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.load import TIMEOUT_S, authorization

SPEECH = "/v1/audio/speech"


@dataclass(frozen=True)
class Response:
    """Times of a request in seconds, to the first bytes of the body and to its end, and the values of the service.

    Args:
        worked_s: seconds that the engine worked, as measured by the service; 0 for a stream.
    """

    status: int
    first_s: float
    took_s: float
    sound_s: float
    worked_s: float
    body: bytes


class Client:
    """One connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", **authorization()}

    def request(self, text: str, form: str = "wav", **fields: str | bool) -> Response:
        """Request the synthesis of a text; return the response with any status."""
        body = json.dumps({"input": text, "voice": "joe", "response_format": form, **fields})
        began = time.monotonic()
        self._connection.request("POST", SPEECH, body, self._headers)
        response = self._connection.getresponse()
        first_bytes = response.read1(1 << 20)
        first_s = time.monotonic() - began
        content = first_bytes + response.read()
        took_s = time.monotonic() - began
        sound_s = float(response.headers.get("X-Audio-Duration", 0))
        worked_s = sound_s * float(response.headers.get("X-Realtime-Factor", 0))
        return Response(response.status, first_s, took_s, sound_s, worked_s, content)

    def synthesize(self, text: str, form: str = "wav", **fields: str | bool) -> Response:
        """Request the synthesis of a text; raise RuntimeError for any status but 200."""
        response = self.request(text, form, **fields)
        if response.status != http.client.OK:
            raise RuntimeError(f"HTTP {response.status}: {response.body[:200]!r}")
        return response

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
