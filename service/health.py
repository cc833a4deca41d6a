"""The container's HEALTHCHECK: recent success is evidence, otherwise it synthesizes a short text.

It runs every few seconds for the life of a container, so it imports as little as possible: no argparse, no settings,
and no site packages (`python -S`). Importing those took half of its CPU time.
"""

from __future__ import annotations

import array
import json
import os
import struct
import sys
from typing import Any

from service.control.protocol import send_command

CONTROL, PORT = "/run/service/control.sock", 7860  # defaults of service.settings
EVIDENCE_S = 60.0
"""A successful inference within this time is enough evidence: the probe must not compete with users."""

_TEXT = "Ready."
_SECONDS = (0.2, 5.0)  # plausible duration of _TEXT; it takes about 0.6
_AUDIBLE = 300  # of 32767
_CONTROL_TIMEOUT_S = 3.0
_HEALTH_TIMEOUT_S = 15.0

ON_PURPOSE = ("draining", "unloading", "unloaded")
"""Phases that a command requested; they count as healthy.

If the container were unhealthy, a supervisor that acts on health would kill it while it still synthesizes.
"""


class ProbeError(Exception):
    """The service failed the check; the message is one line."""


def health(control: str, port: int) -> str:
    """Return the evidence that the service works, or raise ProbeError."""
    try:
        status = send_command(control, "status", _CONTROL_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ProbeError(f"the control socket does not answer: {error}") from None
    phase, age = status.get("phase"), status.get("last_inference_age_s")
    if phase in ON_PURPOSE:
        return f"{phase}, as requested"
    if phase != "ready":
        raise ProbeError(f"phase {phase}" + (f": {status['error']}" if status.get("error") else ""))
    if isinstance(age, (int, float)) and age <= EVIDENCE_S:
        return f"ready, last inference {age:.1f} s ago"
    seconds = check_wav(fetch_speech(port, _TEXT, None, _HEALTH_TIMEOUT_S))
    return f"ready, spoke {seconds:.2f} s"


def fetch_speech(port: int, text: str, voice: str | None, timeout_s: float) -> bytes:
    """Synthesize the text over HTTP on this machine; return the WAV, or raise ProbeError with the service's reason."""
    import http.client  # noqa: PLC0415 - most of the start-up time, and half of the health checks need no HTTP

    body: dict[str, Any] = {"input": text, "response_format": "wav"} | ({"voice": voice} if voice else {})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", "/v1/audio/speech", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"no speech from port {port}: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise ProbeError(f"the speech request failed with HTTP {response.status}: {_reason(content)}")
    return content


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return content[:200].decode(errors="replace")


def check_wav(content: bytes) -> float:
    """Return the duration (s) of a mono 16-bit WAV of the service; raise ProbeError if it cannot be _TEXT."""
    if len(content) < 44 or content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ProbeError("the response is not a WAV file")
    rate: int = struct.unpack_from("<I", content, 24)[0]
    samples = array.array("h", content[44 : 44 + (len(content) - 44) // 2 * 2])
    seconds = len(samples) / max(rate, 1)
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        raise ProbeError(f"the speech lasts {seconds:.2f} s instead of {_SECONDS[0]} to {_SECONDS[1]} s")
    if max(map(abs, samples)) < _AUDIBLE:
        raise ProbeError("the speech is silent")
    return seconds


def main() -> None:
    """Check the service that the environment describes: print the evidence, or exit with 1 and the reason."""
    control = os.environ.get("TTS_CONTROL") or CONTROL
    port = int(os.environ.get("TTS_PORT") or PORT)
    try:
        sys.stdout.write(health(control, port) + "\n")
    except ProbeError as error:
        sys.exit(str(error))
