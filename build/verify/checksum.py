"""Checksum of the rules and scripts of a verification: if one of them changes, older reports are ignored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from build.locks import compatibility_check
from build.verify.rules import Part

BUILD = Path(__file__).parents[1]
DATA = BUILD / "data/verification.toml"
# Files that determine a report.
COMMON = (
    DATA,
    *(BUILD / "verify" / name for name in ("verifier.py", "layers.py", "rules.py", "image_checks.py", "checksum.py")),
)
CHECKS: dict[Part, tuple[Path, ...]] = {
    "base": (
        *COMMON,
        compatibility_check.TABLE,
        BUILD / "verify/in_image/verify_base.py",
        *(BUILD / "locks" / name for name in ("in_image/inventory.py", "diff.py", "drift.py")),
    ),
    "app": (*COMMON, BUILD / "verify/in_image/verify_app.py", BUILD / "audio/signal.py"),
    "proxy": COMMON,
}


def of(part: Part, *more: str) -> str:
    """SHA-256 (hex) of everything that determines a report on a part; `more` are texts besides the files."""
    texts = [*(path.read_text() for path in CHECKS[part]), *more]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
