"""Access to the Docker engine through its API and its command line: containers, images, builds, Compose."""

import sys

from build.docker import daemon

# docker-py imports paramiko if it is installed, which takes a third of every command's start-up time. Only an engine
# behind ssh needs it. For other engines, a None in sys.modules makes the import fail as if it were not installed.
if not daemon.is_behind_ssh():
    sys.modules.setdefault("paramiko", None)  # type: ignore[arg-type]
