"""Records of builds, one file each under out/builds in the clone, and what `history` and `inspect` read from them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from build.errors import RecordError
from build.images.record import Record
from build.system import files

FOLDER = Path("out/builds")


def write(root: Path, record: Record) -> Path:
    """Adds a record; a crash leaves it whole or not at all."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.id}.json"
    files.replace(path, record.model_dump_json(indent=2) + "\n")
    return path


def read(root: Path) -> list[Record]:
    """Every record of the clone, oldest first.

    Raises:
        RecordError: files that are no records, all named; none is passed over in silence.
    """
    records, wrong = [], []
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            records.append(Record.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            first = error.errors()[0]
            wrong.append(f"{path.name}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}")
    if wrong:
        raise RecordError(
            f"{len(wrong)} of the build records under {FOLDER} do not fit their schema",
            detail="\n".join(wrong),
            remedy="restore or remove these files; build/data/build-record.schema.json says what a record is",
        )
    return records
