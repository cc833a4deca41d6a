"""Settings: the command line overrides a file, a file the defaults; every problem is reported, no key is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch import settings
from batch.errors import SettingsError
from batch.settings import Settings
from tests.unit.batch.support import FakeService, batch, clips, named, plain, write_tasks

OPTIONS = {"tasks": Path("t"), "endpoint": "http://h:1", "out": Path("o")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "endpoint: http://a:1\nout: there\nshard-size: 3\nvoice: joe\n"),
        ("s.jsonl", '{"endpoint": "http://a:1", "out": "there"}\n\n{"shard_size": 3, "voice": "joe"}\n'),
        ("s.json", '{"endpoint": "http://a:1",\n "out": "there", "shard_size": 3, "voice": "joe"}\n'),
    ],
)
def test_formats_of_settings_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = settings.resolve({"tasks": Path("t"), "voice": "amy", "out": None}, tmp_path / name)
    assert (found.endpoint, found.out, found.shard_size, found.voice) == ("http://a:1", tmp_path / "there", 3, "amy")
    assert found.in_flight_first == 4


@pytest.mark.parametrize(("bounds", "first"), [((1, 2), 2), ((6, 9), 6), ((1, 16), 4)])
def test_the_initial_limit_is_within_its_bounds(bounds: tuple[int, int], first: int) -> None:
    options = OPTIONS | {"in_flight_min": bounds[0], "in_flight_max": bounds[1]}
    assert settings.resolve(options, None).in_flight_first == first


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_endpoint_may_end_in_v1(url: str) -> None:
    assert settings.resolve(OPTIONS | {"endpoint": url}, None).endpoint == "http://h:1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("shard_sise: 3", 'unknown setting "shard_sise" (in '),
        ("shard_sise: 3", "Did you mean 'shard_size'?"),
        ("shard_size: 0\nretries: many", 'shard_size is "0":'),
        ("shard_size: 0\nretries: many", 'retries is "many":'),
        ("in_flight: 20", "in_flight is 20, outside its bounds 1 to 16"),
        ("response_format: mp3", "'wav', 'flac' or 'pcm'"),
        ("endpoint: localhost", "must be a url such as"),
        ("endpoint: http://me:secret@h", "must have no user"),
        ("- a", "must map names of settings"),
        ("input_text: x", "contains tasks, not settings"),
        ("a: [", "is not YAML"),
        ("a: \xff", "is not UTF-8"),
    ],
)
def test_invalid_settings_are_reported(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("latin-1"))
    options: dict[str, Any] = {"endpoint": None} if text.startswith("endpoint") else {}
    with pytest.raises(SettingsError) as caught:
        settings.resolve(OPTIONS | options, path)
    assert problem in caught.value.message
    assert "secret" not in caught.value.message


def test_invalid_lines_of_settings_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    for text, problem in (
        ('{"voice": "a"}\n{"voice": "b"}', "line 2 repeats voice"),
        ('{"voice": "a"}\n[]', "line 2 is not a JSON object"),
        ('{"output_name": "a", "input_text": "x"}\n{"output_name": "b", "input_text": "x"}', "contains tasks"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=problem):
            settings.resolve(OPTIONS, path)


def test_an_endless_file_is_not_read() -> None:
    for read in (settings.read_config, lambda path: settings.api_key(path, {})):
        with pytest.raises((ValueError, SettingsError), match="more than 1048576 bytes"):
            read(Path("/dev/zero"))


def test_missing_settings_are_reported_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert batch("run") == 3
    problem = plain(capsys.readouterr().err)
    assert all(f"{name} is missing" in problem for name in ("tasks", "endpoint", "out"))
    assert batch("run", "--no-such-option") == 2


def test_a_key_is_never_printed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("s3cret\n")
    assert settings.api_key(path, {settings.KEY_NAME: "other"}) == "s3cret"
    assert settings.api_key(None, {settings.KEY_NAME: "other"}) == "other"
    assert settings.api_key(None, {}) == ""
    for text in ("two s3crets", "s3cret\r\nX-Header: x", "", "s3crét"):
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            settings.api_key(path, {})
        assert "s3cr" not in caught.value.message
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.api_key(tmp_path / "none", {})


def test_a_settings_file_is_enough_for_a_run(service: FakeService, tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.jsonl", 6)
    config = tmp_path / "release-v1.jsonl"
    config.write_text(f'{{"tasks": "tasks.jsonl", "endpoint": "{service.url}", "out": "out", "shard_size": 2}}')
    assert batch("run", "--config", config) == 0
    assert clips(tmp_path / "out") == named(6)
    assert len(list((tmp_path / "out").glob("*.zip"))) == 3


def test_every_setting_is_documented() -> None:
    page = Path("docs/guides/batch.md").read_text()
    assert [name for name in Settings.model_fields if f"`{name}`" not in page] == []
