"""What a commit costs: seconds and bytes of a rebuild, when nothing changed, and when code did."""

from __future__ import annotations

import time
from statistics import median

from build.console import out
from build.drivers import command
from tests.support.stack import Stack


def measure(stack: Stack, runs: int) -> None:
    """Prints medians of `runs` rebuilds of each kind."""
    stack.release("bench: the first")
    unchanged = median(_timed(stack) for _ in range(runs))
    seconds, sizes = [], []
    for number in range(runs):
        before = stack.commit(f"bench: {number}")
        stack.releases.append(before)
        seconds.append(_timed(stack))
        sizes.append(new_bytes(stack, *stack.releases[-2:]))
    out.print(f"no-change rebuild  {unchanged:6.2f} s  (medians of {runs})")
    out.print(f"code-only rebuild  {median(seconds):6.2f} s  {median(sizes):.0f} bytes in new layers")


def _timed(stack: Stack) -> float:
    began = time.monotonic()
    stack.run("build.images")
    return time.monotonic() - began


def new_bytes(stack: Stack, old: str, new: str) -> int:
    """Uncompressed bytes of the layers that one release's image has and another's has not."""

    def layers(sha: str) -> list[str]:
        found: list[str] = stack.docker.images.get(f"glm-tts-slim:{sha}").attrs["RootFS"]["Layers"]
        return found

    fresh = len(set(layers(new)) - set(layers(old)))
    told = command.run(["docker", "history", "--human=false", "--format", "{{.Size}}", f"glm-tts-slim:{new}"]).decode()
    # Newest first; metadata-only steps have no layer and no size.
    sizes = [int(size) for size in told.split() if size != "0"]
    return sum(sizes[:fresh])
