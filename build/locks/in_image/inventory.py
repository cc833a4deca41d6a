"""Print this image's inventory as one JSON object: python, name, prefix, channels, conda, pip, apt and its origin."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LOCKS = Path("/opt/locks")


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def conda_records(prefix: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((prefix / "conda-meta").glob("*.json"))]


def pip_packages(prefix: Path, records: list[dict[str, object]]) -> dict[str, str]:
    """Versions of the distributions that no conda package installed."""
    owned = {prefix / str(file) for record in records for file in record.get("files") or []}  # type: ignore[attr-defined]
    found = {}
    for distribution in metadata.distributions():
        described = Path(str(distribution.locate_file(""))) / "METADATA"
        folder = getattr(distribution, "_path", described.parent)
        if not owned.intersection((folder / "METADATA", folder / "PKG-INFO")):
            found[normalized(distribution.metadata["Name"])] = distribution.version
    return found


def apt_packages() -> dict[str, str]:
    """Versions of the installed Debian packages; a foreign architecture gives the key name:architecture."""
    native = output_of("dpkg", "--print-architecture").strip()
    layout = "${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"
    rows = [row.split("\t") for row in output_of("dpkg-query", "--show", "--showformat", layout).splitlines()]
    return {
        name if architecture in (native, "all") else f"{name}:{architecture}": version
        for status, name, architecture, version in rows
        if status[1] == "i"
    }


def apt_origin() -> dict[str, object]:
    """The apt origin that build/conda/image/prepare-os recorded; empty values in an image without it."""
    source, _, time = text_of(LOCKS / "apt-origin").strip().partition(" ")
    return {
        "apt_source": source,
        "apt_time": time,
        "apt_security": text_of(LOCKS / "apt-security").split(),
    }


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def output_of(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def main() -> None:
    prefix = Path(os.environ.get("CONDA_PREFIX") or sys.prefix)
    records = conda_records(prefix)
    document = {
        "python": platform.python_version(),
        "name": os.environ.get("CONDA_DEFAULT_ENV") or prefix.name,
        "prefix": str(prefix),
        "channels": sorted({str(record["channel"]) for record in records}),
        "conda": {str(record["name"]): [record["version"], record["build"]] for record in records},
        "pip": pip_packages(prefix, records),
        "apt": apt_packages(),
        **apt_origin(),
    }
    sys.stdout.write(json.dumps(document, sort_keys=True))


if __name__ == "__main__":
    main()
