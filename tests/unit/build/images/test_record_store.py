"""Build records: schema, refusals, and the table of `history`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from build import console
from build.errors import RecordError
from build.images import record_store
from build.images.__main__ import app
from build.images.record import Base, Record, Verification, identifier, schema

SCHEMA = Path(record_store.__file__).parents[1] / "data" / "build-record.schema.json"
DIGEST = f"sha256:{'0' * 64}"


def record(**changes: object) -> Record:
    built_at = "2026-01-02T03:04:05Z"
    values: dict[str, object] = {
        "id": identifier(built_at, "a" * 40),
        "built_at": built_at,
        "sha": "a" * 40,
        "dirty": False,
        "ref": "refs/heads/main",
        "environment": "staging",
        "version": "",
        "triggered_by": "",
        "run_id": "",
        "host": "here",
        "flavour": "slim",
        "tools": {"git": "2"},
        "locks": {"slim.txt": "0" * 64},
        "standins": (),
        "base": Base(reference="base:key", image_id=DIGEST, digest=""),
        "reference": "app:sha",
        "image_id": DIGEST,
        "manifest_digest": "",
        "pushed": "",
        "size_bytes": 5_000_000,
        "seconds": {"app": 1.5},
        "verification": (Verification(part="app", passed=3, failed=(), not_verified=("GPU",)),),
        **changes,
    }
    return Record.model_validate(values)


def test_the_schema_in_the_repository_matches_the_model() -> None:
    assert json.loads(SCHEMA.read_text()) == schema()


def test_a_written_record_matches_the_schema_and_is_read_back(tmp_path: Path) -> None:
    path = record_store.write(tmp_path, record())
    jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA.read_text()))
    assert record_store.read(tmp_path) == [record()]


@pytest.mark.parametrize(
    "wrong", [{"sha": "abc"}, {"built_at": "yesterday"}, {"environment": "prod"}, {"seconds": {"app": -1}}, {"x": 1}]
)
def test_an_invalid_record_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        record(**wrong)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    record_store.write(tmp_path, record())
    (tmp_path / record_store.FOLDER / "half.json").write_text('{"sha": "')
    with pytest.raises(RecordError) as caught:
        record_store.read(tmp_path)
    assert "half.json" in caught.value.detail


def test_records_are_sorted_by_time(tmp_path: Path) -> None:
    for second in ("09", "10", "05"):
        built_at = f"2026-01-02T03:04:{second}Z"
        record_store.write(
            tmp_path, record(id=identifier(built_at, f"{'a' * 40}-dirty"), built_at=built_at, dirty=True)
        )
    assert [record.built_at[-3:-1] for record in record_store.read(tmp_path)] == ["05", "09", "10"]


def test_history_shows_each_build_and_what_failed_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    bad = Verification(part="base", passed=0, failed=("secrets",), not_verified=())
    record_store.write(tmp_path, record(verification=(bad,), environment="production", version="v1.0"))
    monkeypatch.chdir(tmp_path)
    assert console.run(app, ["history"]) == 0
    shown = capsys.readouterr().out
    for words in ("aaaaaaaaaaaa", "production v1.0", "failed: secrets", "1.5"):
        assert words in shown
