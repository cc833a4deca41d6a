"""A browser of the tests' own: Debian's Chromium in a container without a network, looking at one file."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import images
from tests.support.stack import Stack

TAG = "glm-tts-test-browser"
BROWSER = """FROM {os_image}
RUN apt-get update -q \\
 && apt-get install -y -q --no-install-recommends chromium chromium-driver fonts-dejavu-core python3-selenium \\
 && rm -rf /var/lib/apt/lists/*
"""
LOOK = Path(__file__).with_name("look.py")  # it runs in there


@dataclass(frozen=True)
class Seen:
    """A page at one width: what the browser complained of, what `script` found, and a picture of all of it."""

    width: int
    errors: list[str]
    found: dict[str, Any]
    picture: bytes


def look(stack: Stack, page: Path, script: str, widths: Sequence[int]) -> list[Seen]:
    """Opens a file at each width, and runs there the body of an async JavaScript function; it returns an object.

    The image stays: 1.1 GB, and most of a minute to build.
    """
    images.build(TAG, BROWSER)
    order = json.dumps({"page": f"/page/{page.name}", "script": script, "widths": list(widths)})
    said = stack.docker.containers.run(
        TAG,
        ["python3", "-c", LOOK.read_text(), order],
        remove=True,
        network_mode="none",
        shm_size="1g",
        volumes=[f"{page.parent}:/page:ro"],
        labels={"com.docker.compose.project": stack.project},
    )
    return [Seen(**{**each, "picture": base64.b64decode(each["picture"])}) for each in json.loads(said)]
