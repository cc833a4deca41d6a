"""Print why a release cannot use the mounted API keys; print nothing if it can. Run in its image (`python -c`).

The release's own code checks, as its own user, since that code later accepts or rejects clients.
"""

import importlib
import sys
from pathlib import Path


def main(path: str) -> None:
    try:
        keys, settings = (importlib.import_module(f"service.{name}") for name in ("keys", "settings"))
        keys.Keys(Path(path), settings.Limits())
    except (ImportError, AttributeError):
        print("this release does not support API keys, so it would accept every client", end="")  # noqa: T201 - the output
    except keys.KeysError as error:
        print(error, end="")  # noqa: T201 - the output


main(sys.argv[1])
