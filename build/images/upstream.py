"""Refresh of the upstream images through scripts/bootstrap, which also created them."""

from __future__ import annotations

from build.progress import Progress
from build.settings import Settings
from build.system import command

# Limit for pulls or for building stand-ins (60 to 90 s on two busy cores). bootstrap limits its own steps.
LIMIT_S = 1200.0


def refresh(settings: Settings, progress: Progress) -> None:
    """Pull the OS image (for cuda also the CUDA image) again, or rebuild its stand-in.

    Raises:
        CommandFailedError: bootstrap failed; the old images are unchanged.
    """
    options = ["--cuda"] if settings.flavour == "cuda" else []
    progress.step("refreshing the OS image" + (" and the CUDA image" if options else ""))
    argv = [str(settings.root / "scripts/bootstrap"), "--images", "--refresh", *options]
    command.run(argv, cwd=settings.root, timeout_s=LIMIT_S)
