"""The grammars of upstream's text front end (WeTextProcessing), built once in a folder that can be written.

Upstream builds a grammar anew with each load and writes it into the package's folder, which is mounted read-only. Here
a process of the lowest priority builds it into a cache before the load; it takes about 16 s of CPU and would block the
event loop, because the builder holds the interpreter's lock. Later loads read it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from service.engine import EngineError

logger = logging.getLogger(__name__)

# The normalizers of upstream, with the options that it gives them. The redirection below sees what it really gives.
_NORMALIZERS: dict[str, dict[str, bool]] = {
    "tn.chinese.normalizer": {"remove_erhua": False, "full_to_half": True, "remove_interjections": False,
                              "overwrite_cache": True},
    "tn.english.normalizer": {},
}  # fmt: skip
_VERSIONED = ("WeTextProcessing", "pynini")
_PLACES = ("cache_dir", "overwrite_cache")
_BUILD_S = 900
_SHOWN_LINES = 3


def cache_folder() -> Path:
    """Return the folder of the grammars: in a container, only the temporary folder can be written."""
    return Path(tempfile.gettempdir(), "glm-tts", "grammar")


def prepare(cache: Path) -> None:
    """Build the grammars into `cache` unless it has them, and make this process use them. Blocking.

    Raises:
        EngineError: a grammar cannot be built or written.
    """
    if not _installed():
        return  # upstream itself reports a missing package, and can do without this one
    done = cache / f"built-{_key(_NORMALIZERS)}"
    if not done.exists():
        _build_apart(cache)
        done.touch()
    redirect(cache)


def redirect(cache: Path) -> None:
    """Make WeTextProcessing read a grammar from `cache` where it would build one, and build a missing one there."""
    for name in _NORMALIZERS:
        kind = importlib.import_module(name).Normalizer
        if not hasattr(kind.__init__, "__wrapped__"):
            kind.__init__ = _redirected(kind.__init__, name, cache)


def _redirected(original: Callable[..., None], name: str, cache: Path) -> Callable[..., None]:
    @functools.wraps(original)
    def create(self: Any, *args: Any, **options: Any) -> None:
        bound = inspect.signature(original).bind(self, *args, **options)
        bound.apply_defaults()
        given = {option: value for option, value in bound.arguments.items() if option not in ("self", *_PLACES)}
        if not bound.arguments["overwrite_cache"] and _packaged(name):
            original(self, **given)
            return
        folder = cache / _key({name: given})
        if folder.is_dir():
            original(self, **given, cache_dir=str(folder))
        else:
            _create(functools.partial(original, self, **given), folder)

    return create


def _create(build: Callable[..., None], folder: Path) -> None:
    """Build into a separate folder, so that a killed process leaves no half-written grammar under the final name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = tempfile.mkdtemp(dir=folder.parent)
    try:
        build(cache_dir=partial, overwrite_cache=True)
        Path(partial).rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _packaged(name: str) -> bool:
    """Return whether the package brings the grammar of this normalizer."""
    language = {"chinese": "zh", "english": "en"}[name.split(".")[1]]
    package = Path(str(sys.modules["tn"].__file__)).parent
    return all((package / f"{language}_tn_{part}.fst").exists() for part in ("tagger", "verbalizer"))


def _installed() -> bool:
    try:
        return all(find_spec(name) for name in _NORMALIZERS)
    except ModuleNotFoundError:
        return False


def _key(options: dict[str, Any]) -> str:
    """Return a name for a grammar: it depends on its options and on the versions of its builders."""
    versions = {}
    for package in _VERSIONED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "unknown"
    return hashlib.sha256(json.dumps([versions, options], sort_keys=True).encode()).hexdigest()[:16]


def _build_apart(cache: Path) -> None:
    logger.info("building the grammars of GLM-TTS's text front end in %s, at low priority", cache)
    paths = [str(Path(__file__).parents[3]), *filter(None, sys.path)]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(cache)], cwd="/", capture_output=True, text=True, check=False,
            timeout=_BUILD_S, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        problem = "; ".join(done.stderr.splitlines()[-_SHOWN_LINES:]) if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise EngineError(
            f"cannot build the grammars of GLM-TTS's text front end in {cache}: {problem}; "
            "the temporary folder (TMPDIR) must be writable and have 20 MB of space"
        )


def main() -> None:
    """Build the grammars into the folder that the command line names."""
    os.nice(19)
    redirect(Path(sys.argv[1]))
    for name, options in _NORMALIZERS.items():
        importlib.import_module(name).Normalizer(**options)


if __name__ == "__main__":
    main()
