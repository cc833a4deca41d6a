"""An OS image with a newer version of every package: `python -m harness.newer_os`, then `.ci/run`.

Builds must work after updates of the mirror. This simulates them: it repacks each package of the OS image and of the
base under a higher version, in a security suite of a mirror inside the image. The result gets the name of the stand-in
image, which becomes `...:before`; `--undo` restores the name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import docker

from build.images.builder import OS_IMAGES
from harness import images

STANDIN = OS_IMAGES[1]
BEFORE = f"{STANDIN.partition(':')[0]}:before"
# One layer, as in the stand-in: the size of a base has a budget.
RECIPE = """FROM {os_image} AS newer
RUN --mount=source=newer_os.sh,target=/newer_os.sh sh /newer_os.sh
FROM scratch
COPY --from=newer / /
LABEL ai.glm-tts.standin=os
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]
"""


def main(argv: list[str]) -> None:
    """Build the image, or restore the stand-in with --undo."""
    client = docker.from_env(timeout=images.LIMIT_S)
    if argv == ["--undo"]:
        client.images.get(BEFORE).tag(*STANDIN.split(":"))
        client.images.remove(BEFORE)
        return
    client.images.get(STANDIN).tag(*BEFORE.split(":"))
    images.build(STANDIN, RECIPE.replace("{os_image}", BEFORE), Path(__file__).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
