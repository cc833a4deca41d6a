"""Checks of the running service. Standard library only: it runs every few seconds and must start fast.

`health` is the container's HEALTHCHECK; `speak` writes a WAV to standard output; `gpu` prints the memory of the GPUs.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import struct
import sys
from typing import Any

from service.control.protocol import send_command
from service.hardware import gpu
from service.settings import Settings, SettingsError

EVIDENCE_S = 30.0
"""A successful inference within this time is enough evidence: the probe must not compete with users."""

_TEXT = "Ready."
_SECONDS = (0.2, 5.0)  # plausible duration of _TEXT; it takes about 0.6
_AUDIBLE = 300  # of 32767
_CONTROL_TIMEOUT_S = 3.0
_HEALTH_TIMEOUT_S = 15.0
_SPEAK_TIMEOUT_S = 120.0

STARTING = ("starting", "loading", "warming")
ON_PURPOSE = ("draining", "unloaded")
"""Phases that a command requested; they count as healthy.

If the container were unhealthy, a supervisor that acts on health would kill it while it still synthesizes.
"""


class ProbeError(Exception):
    """The service failed the check; the message is one line."""


def health(settings: Settings) -> str:
    """Return the evidence that the service works, or raise ProbeError."""
    try:
        status = send_command(settings.control, "status", _CONTROL_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ProbeError(f"the control socket does not answer: {error}") from None
    phase, age = status.get("phase"), status.get("last_inference_age_s")
    if phase in ON_PURPOSE:
        return f"{phase}, as requested"
    if phase != "ready":
        raise ProbeError(f"phase {phase}" + (f": {status['error']}" if status.get("error") else ""))
    if isinstance(age, (int, float)) and age <= EVIDENCE_S:
        return f"ready, last inference {age:.1f} s ago"
    seconds = check_wav(fetch_speech(settings, _TEXT, None, _HEALTH_TIMEOUT_S))
    return f"ready, spoke {seconds:.2f} s"


def fetch_speech(settings: Settings, text: str, voice: str | None, timeout_s: float) -> bytes:
    """Synthesize the text over HTTP on this machine; return the WAV, or raise ProbeError with the service's reason."""
    import http.client  # noqa: PLC0415 - half of the start-up time, and most health checks need no HTTP

    body: dict[str, Any] = {"input": text} | ({"voice": voice} if voice else {})
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=timeout_s)
    try:
        connection.request("POST", "/v1/audio/speech", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"no speech from port {settings.port}: {type(error).__name__}: {error}") from None
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


def main() -> int:
    """Run the command line; print one line and return 1 if the check fails."""
    parser = argparse.ArgumentParser(prog="python -m service.probe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("health", help="exit with 0 if the service is healthy")
    speak = commands.add_parser("speak", help="synthesize a text and write the WAV to standard output")
    speak.add_argument("--text", required=True, help="text to synthesize")
    speak.add_argument("--voice", help="ID of the voice (default: the first one)")
    commands.add_parser("gpu", help="print the memory of the GPUs as JSON; without NVML no devices, and the reason")
    arguments = parser.parse_args()
    if arguments.command == "gpu":
        sys.stdout.write(json.dumps(gpu.read()) + "\n")
        return 0
    try:
        settings = Settings.from_env(os.environ)
        if arguments.command == "health":
            sys.stdout.write(health(settings) + "\n")
        else:
            sys.stdout.buffer.write(fetch_speech(settings, arguments.text, arguments.voice, _SPEAK_TIMEOUT_S))
    except (ProbeError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
