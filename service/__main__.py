"""`python -m service`: read the settings, serve, and exit with a code that states the reason."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from service.keys import KeysError
from service.settings import Settings, SettingsError, unknown
from service.telemetry import logs


def main() -> int:
    """Run the service and return the exit code.

    0: clean stop. 2: invalid settings. 3: the model failed. 4: the address is taken. 5: the engine hangs or is broken.
    """
    logs.configure(os.environ.get("TTS_LOG_FORMAT", ""))  # for the settings' own errors too
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            logging.error("invalid setting %s", problem)
        return 2
    for line in unknown(os.environ):
        logging.warning("%s", line)

    if settings.device:
        # Select the GPU by UUID before any library enumerates GPUs. If the container's environment set it, Compose
        # would see a changed configuration each time a release moves to another GPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = settings.device

    from service import server  # noqa: PLC0415 - takes seconds; an invalid setting is reported before it

    try:
        return asyncio.run(server.run(settings))
    except KeysError as error:
        logging.error("invalid setting TTS_API_KEYS: %s", error)
        return 2
    except server.CannotListenError as error:
        logging.error("%s", error)
        return server.EXIT_ADDRESS


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # sys.exit would wait forever for a thread that hangs in the engine.
    os._exit(code)
