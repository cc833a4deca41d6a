"""Renews the images that everything is built on, the way that made them: by scripts/bootstrap."""

from __future__ import annotations

from build.progress import Report
from build.settings import Settings
from build.system import command

# A pull, or a stand-in's 60 to 90 s on two busy cores; bootstrap bounds its own steps.
LIMIT_S = 1200.0


def refresh(settings: Settings, report: Report) -> None:
    """Pulls the OS image (cuda: and the CUDA image) again, or has its stand-in built again; the old one is never lost.

    Raises:
        CommandFailedError: bootstrap failed; what there was is still there.
    """
    options = ["--cuda"] if settings.flavour == "cuda" else []
    report.step("refreshing the OS image" + (" and the CUDA image" if options else ""))
    argv = [str(settings.root / "scripts/bootstrap"), "--images", "--refresh", *options]
    command.run(argv, cwd=settings.root, timeout_s=LIMIT_S)
