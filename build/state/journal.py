"""The journal on the target: one JSON record a line in the state container's volume, with the target's time.

Each record ends with a hash over its predecessor's hash and itself, which reveals damage anywhere. A record is
appended only after the one that its writer knows as the newest, so that of two writers one fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from build.docker.engine import DockerEngine
from build.docker.exec_session import ExecSession, inside
from build.errors import CommandFailedError, LockLostError, StateCorruptError

FILE = "/var/lib/cutover/journal.jsonl"
END, ATTEMPTS = "== end", 3
_SEALED = re.compile(r'(.*),"hash":"([0-9a-f]{64})"\}')

# Replaces the file as a whole, so that a crash leaves no partial record. A request is two lines: the hash of the newest
# record known to the writer, and the record without its braces. The line `read` returns the file.
_APPENDER = f"""
file={FILE}
add() {{
    touch "$file" || return
    last=$(sed -n '$s/.*"hash":"\\([0-9a-f]\\{{64\\}}\\)"}}$/\\1/p' "$file") || return
    [ "$last" = "$1" ] || {{ echo moved; return 1; }}
    body="{{\\"at\\":\\"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)\\",$2"
    sum=$(printf '%s%s' "$last" "$body" | sha256sum) || return
    cp "$file" "$file.new" && printf '%s,"hash":"%s"}}\\n' "$body" "${{sum%% *}}" >>"$file.new" &&
        sync "$file.new" && mv "$file.new" "$file" && sync "${{file%/*}}" && echo "${{sum%% *}}"
}}
while IFS= read -r expected; do
    if [ "$expected" = read ]; then
        if [ ! -e "$file" ] || cat "$file"; then echo; echo '== ok'; else echo '== no'; fi
        continue
    fi
    IFS= read -r record || exit
    if add "$expected" "$record" 2>&1; then echo '== ok'; else rm -f "$file.new"; echo '== no'; fi
done
"""


class Journal:
    def __init__(self, engine: DockerEngine, container: str) -> None:
        self._engine = engine
        self._container = container
        self._session: ExecSession | None = None
        self._newest: tuple[int, str] | None = None  # number of records, and the hash of the last one

    def read(self) -> list[dict[str, Any]]:
        """Return all records, oldest first; a missing file is an empty journal.

        Raises:
            StateCorruptError: a line is not a record, or a record is missing or altered.
        """
        records, newest = [], ""
        for number, line in enumerate(self._lines()):
            sealed = _SEALED.fullmatch(line)
            if not sealed or hashlib.sha256((newest + sealed[1]).encode()).hexdigest() != sealed[2]:
                raise self._corrupt(f"has a damaged line: line {number + 1} does not match its hash")
            record = json.loads(line)
            newest = record.pop("hash")
            if record.get("seq") != number:
                raise self._corrupt(f"has a wrong line: line {number + 1} is not record {number}")
            records.append(record)
        self._newest = len(records), newest
        return records

    def _lines(self) -> list[str]:
        """Return all lines of the file; retry if an exec's stream breaks, which must not look like an empty file."""
        if self._session:
            # On any error of the open stream, fall back to a separate exec.
            with contextlib.suppress(CommandFailedError):
                lines, verdict = self._session.ask("read")
                if verdict == "ok":
                    return lines[:-1] if lines[-1] == "" else lines
        script = f"test ! -e {FILE} || cat {FILE}; echo; echo {END}"
        for _ in range(ATTEMPTS):
            answer = self._engine.execute(self._container, ["sh", "-c", script])
            content, end, _ = answer.text.rpartition(f"\n{END}")
            if answer.exit_code == 0 and end:
                return content.splitlines()
        raise self._corrupt(f"cannot be read completely: {answer.error}")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep a stream to the appender open, so that records in the block need no exec."""
        self._session = inside(self._container, "sh", "-c", _APPENDER)
        try:
            yield
        finally:
            session, self._session = self._session, None
            session.close()

    def append(self, **record: Any) -> None:
        """Append a record; return when it is on the target's disk.

        Raises:
            LockLostError: another process appended since this journal was read.
            StateCorruptError: the journal cannot be written, so nothing may be changed.
        """
        if self._session is None:
            with self.opened():
                self.append(**record)
            return
        written, error = False, CommandFailedError("")
        for _ in range(ATTEMPTS):
            before = self._newest or self._read_newest()
            try:
                written = self._add(self._session, before, record)
            except CommandFailedError as failed:
                error = failed
                self._session.close()
                self._session = inside(self._container, "sh", "-c", _APPENDER)
                # The stream may have broken after the write; read the file.
                written = self._is_newest(before[0], record)
            if written:
                return
        raise StateCorruptError(
            f"the journal cannot be written, so nothing may be changed: {error.message}",
            detail=error.detail,
            remedy=self._remedy,
        )

    def _read_newest(self) -> tuple[int, str]:
        self.read()
        return self._newest or (0, "")

    def _add(self, session: ExecSession, newest: tuple[int, str], record: dict[str, Any]) -> bool:
        count, hash_ = newest
        body = json.dumps({"seq": count, **record}, separators=(",", ":"))
        lines, verdict = session.ask(hash_, body[1:-1])
        if verdict == "ok":
            self._newest = count + 1, lines[-1]
            return True
        if lines == ["moved"]:
            self.read()  # reports damage as such
            raise LockLostError(
                "another process wrote to the journal; this cutover lost its lock and stopped",
                remedy="see `python -m build.cutover status`; then `resume` or `abort`",
            )
        raise CommandFailedError("the disk of the state volume may be full", detail="\n".join(lines))

    def _is_newest(self, count: int, record: dict[str, Any]) -> bool:
        records = self.read()
        if len(records) != count + 1:
            return False
        return {**json.loads(json.dumps(record)), "seq": count, "at": records[-1]["at"]} == records[-1]

    def _corrupt(self, why: str) -> StateCorruptError:
        return StateCorruptError(f"the journal on the target ({FILE} in {self._container}) {why}", remedy=self._remedy)

    @property
    def _remedy(self) -> str:
        return f"read it with `docker exec {self._container} cat {FILE}`; move the file away to begin a new journal"
