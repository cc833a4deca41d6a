"""Run inside an app image (`python -c`): its files as git names them, who owns them, and one spoken sentence."""

import base64
import hashlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(text: str) -> None:
    files = [path for path in Path("/app").rglob("*") if path.is_file()]
    said: dict[str, Any] = {
        "release": os.environ.get("RELEASE", ""),
        "blobs": {str(path.relative_to("/app")): blob(path.read_bytes()) for path in files},
        "loose": [str(p) for p in Path("/app").rglob("*") if loose(p)],
    }
    try:
        engine = importlib.import_module("service.engines.piper").PiperEngine(1)
        utterance = importlib.import_module("service.engines.base").Utterance(text, "joe")
        engine.load(lambda _: None)
        pieces = [piece.samples for piece in engine.synthesize(utterance)]
        wav = importlib.import_module("service.audio").encode(pieces, engine.sample_rate, "wav")
        said["wav"] = base64.b64encode(wav).decode()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from speaking is the answer
        said["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(said))  # noqa: T201 - the answer


def loose(path: Path) -> bool:
    """Not root's, or writable for the user that the service runs as."""
    stat = path.lstat()
    return stat.st_uid != 0 or bool(stat.st_mode & 0o002) or (stat.st_gid == os.getgid() and bool(stat.st_mode & 0o020))


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


main(sys.argv[1])
