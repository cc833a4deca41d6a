"""Instructions to replace each kind of stand-in (label `ai.glm-tts.standin`) with the genuine upstream."""

from __future__ import annotations

from collections.abc import Sequence

GUIDE = "docs/guides/first-production-deployment.md"

_REPLACEMENTS = {
    "os": "run `docker pull debian:bookworm-slim` where Docker Hub can be reached",
    "cuda": "run `docker pull nvidia/cuda:11.8.0-base-ubuntu22.04` where Docker Hub can be reached",
    "conda": "run `uv run python -m build.lock conda --flavour {flavour}` where conda-forge can be reached, then "
    "commit locks/conda-forge-{flavour}-linux-64.lock and locks/index.json",
}
KINDS = tuple(_REPLACEMENTS)


def replacement(kind: str, flavour: str) -> str:
    """Instruction to replace a stand-in of this kind: what to run and what to commit."""
    return _REPLACEMENTS[kind].format(flavour=flavour)


def replacements(kinds: Sequence[str], flavour: str) -> str:
    """Instructions for several kinds, one a line; for an unknown kind the line refers to the guide."""
    return "\n".join(f"{kind}: {replacement(kind, flavour) if kind in KINDS else f'see {GUIDE}'}" for kind in kinds)
