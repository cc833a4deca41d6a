"""Checks of the running service, by hand. Standard library only.

`health` is the container's HEALTHCHECK; `speak` writes a WAV to standard output; `gpu` prints the memory of the GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from service.hardware import gpu
from service.health import ProbeError, fetch_speech, health
from service.settings import Settings, SettingsError

SPEAK_TIMEOUT_S = 120.0


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
            sys.stdout.write(health(str(settings.control), settings.port) + "\n")
        else:
            sys.stdout.buffer.write(fetch_speech(settings.port, arguments.text, arguments.voice, SPEAK_TIMEOUT_S))
    except (ProbeError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
