"""The grammar of upstream's text front end: built once, apart, outside of the package's folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.glm_tts import Mounted
from service import engines
from service.engine import EngineError
from service.engines.glm_tts import grammar


def grammars(mount: Mounted) -> list[list[str]]:
    """Return the content of the grammars that upstream's front end uses: builder, priority, options."""
    return [normalizer.grammar for normalizer in mount.module.TextFrontEnd().grammars]


def built() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in grammar.cache_folder().rglob("*.fst")}


def test_another_process_of_low_priority_builds_the_grammar_before_the_load(mount: Mounted) -> None:
    engine = engines.create(mount.settings())
    engine.prepare()
    before = built()
    assert len(before) == 2
    engine.load(lambda _step: None)
    chinese, english = grammars(mount)
    builder, priority, options = chinese[0].split(maxsplit=2)
    assert (int(builder) != os.getpid(), priority) == (True, "19")
    assert options == "['full_to_half', 'traditional_to_simple']"
    assert english == ["", ""], "the English grammar is the package's own"
    assert built() == before


def test_later_loads_build_nothing(mount: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engines.create(mount.settings())
    engine.load(lambda _step: None)
    before = built()
    monkeypatch.setattr(grammar, "_build_apart", lambda _cache: pytest.fail("built again"))
    engine.unload()
    engine.load(lambda _step: None)
    assert built() == before


def test_another_version_of_the_package_has_its_own_grammar(mount: Mounted) -> None:
    engines.create(mount.settings()).prepare()
    folder = mount.packages / "WeTextProcessing-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: WeTextProcessing\nVersion: 9.9\n")
    engines.create(mount.settings()).prepare()
    assert len(built()) == 4


def test_options_that_upstream_changes_get_another_grammar(mount: Mounted) -> None:
    engines.create(mount.settings()).load(lambda _step: None)
    normalizer = sys.modules["tn.chinese.normalizer"].Normalizer(remove_puncts=True, overwrite_cache=True)
    assert "remove_puncts" in normalizer.grammar[0]
    assert len(built()) == 4


def test_a_folder_that_cannot_be_written_is_reported(mount: Mounted) -> None:
    cache = grammar.cache_folder()
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(EngineError) as error:
        engines.create(mount.settings()).prepare()
    assert f"cannot build the grammars of GLM-TTS's text front end in {cache}" in str(error.value)
    assert "TMPDIR" in str(error.value)


def test_a_build_that_fails_is_reported(mount: Mounted) -> None:
    module = mount.packages / "tn/processor.py"
    module.write_text(
        module.read_text().replace("if overwrite_cache", "raise MemoryError('no room')\n        if overwrite")
    )
    with pytest.raises(EngineError, match=r"cannot build the grammars .*MemoryError: no room"):
        engines.create(mount.settings()).prepare()
