"""An OS image whose every package is one version newer than here: `python -m harness.newer_os`, then `.ci/run`.

The line must work on the day after the mirror moved. This makes that day: each package of the OS image and of the base
is taken from the mirror and packed anew under a higher version, in a security suite of a mirror inside the image. The
result takes the name of the stand-in, whose own image stays as `...:before`; `--undo` gives it its name back.
"""

from __future__ import annotations

import sys
from pathlib import Path

import docker

from build.images.builder import OS_IMAGES
from harness import images

STANDIN = OS_IMAGES[1]
BEFORE = f"{STANDIN.partition(':')[0]}:before"
# In one layer, as the stand-in's: a base's size has a budget.
RECIPE = """FROM {os_image} AS newer
RUN --mount=source=newer_os.sh,target=/newer_os.sh sh /newer_os.sh
FROM scratch
COPY --from=newer / /
LABEL ai.glm-tts.standin=os
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]
"""


def main(argv: list[str]) -> None:
    """Makes the image, or undoes that."""
    client = docker.from_env(timeout=images.LIMIT_S)
    if argv == ["--undo"]:
        client.images.get(BEFORE).tag(*STANDIN.split(":"))
        client.images.remove(BEFORE)
        return
    client.images.get(STANDIN).tag(*BEFORE.split(":"))
    images.build(STANDIN, RECIPE.replace("{os_image}", BEFORE), Path(__file__).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
