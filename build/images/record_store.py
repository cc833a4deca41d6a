"""Store of build records for `history` and `inspect`: one file each under out/builds in the clone."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from build.errors import RecordError
from build.images.record import Record
from build.system import files

FOLDER = Path("out/builds")


def write(root: Path, record: Record) -> Path:
    """Write a record atomically; return its path."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.id}.json"
    files.replace(path, record.model_dump_json(indent=2) + "\n")
    return path


def read(root: Path) -> list[Record]:
    """Read every record of the clone, oldest first.

    Raises:
        RecordError: some files are not valid records; the error lists all of them.
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
            f"{len(wrong)} build records under {FOLDER} are invalid",
            detail="\n".join(wrong),
            remedy="restore or remove these files; build/data/build-record.schema.json describes a valid record",
        )
    return records
