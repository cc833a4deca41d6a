"""Run inside a release's image with the folder of API keys mounted (`python -c`): why it could not use them, on stdout.

Empty: it can. Asked by the release's own code, as its own user, since it is that which must let people in or not.
"""

import importlib
import sys
from pathlib import Path


def main(path: str) -> None:
    try:
        keys, settings = (importlib.import_module(f"service.{name}") for name in ("keys", "settings"))
        keys.Keys(Path(path), settings.Limits())
    except (ImportError, AttributeError):
        print("this release knows nothing of API keys and would let everybody in", end="")  # noqa: T201 - the answer
    except keys.KeysError as error:
        print(error, end="")  # noqa: T201 - the answer


main(sys.argv[1])
