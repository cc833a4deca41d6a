"""The Docker engine through its API and its command line: containers, images, builds, Compose."""

import sys

from build.docker import daemon

# docker-py imports paramiko if it can, which is a third of what any command here takes to start. Only an engine behind
# ssh needs it; for any other its place is taken by what the import system reads as "not installed".
if not daemon.address().startswith("ssh://"):
    sys.modules.setdefault("paramiko", None)  # type: ignore[arg-type]
