"""`python -m service`: read the settings, serve, exit with a code that says how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from service.keys import KeysError
from service.settings import Settings, SettingsError, unknown


def main() -> int:
    """Run the service; 0 after a clean stop, 2 for bad settings, 3 for a model that failed, 4 for a taken address."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            logging.error("setting %s", problem)
        return 2
    for line in unknown(os.environ):
        logging.warning("%s", line)

    if settings.device:
        # By UUID, before anything has looked for a GPU. In the container's environment it would make Compose see a
        # change each time that a release goes to another GPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = settings.device

    from service import server  # noqa: PLC0415 - seconds of imports, which a wrong setting need not wait for

    try:
        return asyncio.run(server.run(settings))
    except KeysError as error:
        logging.error("setting TTS_API_KEYS: %s", error)
        return 2
    except server.CannotListenError as error:
        logging.error("%s", error)
        return server.EXIT_ADDRESS


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: that waits for a thread that hangs in the engine, for ever.
    os._exit(code)
