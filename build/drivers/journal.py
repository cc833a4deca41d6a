"""The journal on the target: one JSON record a line in the state container's volume, stamped by the target's clock."""

from __future__ import annotations

import json
from typing import Any

from build.drivers.engine import Engine
from build.errors import StateCorruptError

FILE = "/var/lib/cutover/journal.jsonl"
END, ATTEMPTS = "== end", 3

# A whole new file takes the old one's place, so that a crash leaves no half record; $1 is the record without its time.
_APPEND = f"""set -eu
touch {FILE}
cp {FILE} {FILE}.new
printf '{{"at":"%s",%s\\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "${{1#?}}" >>{FILE}.new
sync {FILE}.new
mv {FILE}.new {FILE}
sync {FILE.rpartition("/")[0]}
"""


class Journal:
    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container

    def read(self) -> list[dict[str, Any]]:
        """All records, oldest first; an absent file is an empty journal.

        Raises:
            StateCorruptError: a line is no record, or a record is missing.
        """
        records = []
        for number, line in enumerate(self._lines()):
            try:
                record = json.loads(line)
            except ValueError:
                raise self._corrupt(f"line {number + 1} is no record") from None
            if not isinstance(record, dict) or record.get("seq") != number:
                raise self._corrupt(f"line {number + 1} is not record {number}")
            records.append(record)
        return records

    def _lines(self) -> list[str]:
        """The file's lines, known to be all: an exec's stream can be lost, which must not look like an empty file."""
        script = f"test ! -e {FILE} || cat {FILE}; echo; echo {END}"
        for _ in range(ATTEMPTS):
            answer = self._engine.execute(self._container, ["sh", "-c", script])
            content, end, _ = answer.text.rpartition(f"\n{END}")
            if answer.exit_code == 0 and end:
                return content.splitlines()
        raise self._corrupt(f"cannot be read whole: {answer.error}")

    def append(self, **record: Any) -> None:
        """Adds a record and returns once it is on the target's disk."""
        numbered = {"seq": len(self.read()), **record}
        answer = self._engine.execute(
            self._container, ["sh", "-c", _APPEND, "append", json.dumps(numbered, separators=(",", ":"))]
        )
        if answer.exit_code:
            raise StateCorruptError(
                "the journal cannot be written, so nothing may be changed", detail=answer.error, remedy=self._remedy
            )

    def _corrupt(self, why: str) -> StateCorruptError:
        return StateCorruptError(f"the journal on the target ({FILE} in {self._container}) {why}", remedy=self._remedy)

    @property
    def _remedy(self) -> str:
        return f"look at it with `docker exec {self._container} cat {FILE}`; move it away to begin a new one"
