from __future__ import annotations

from tn.processor import PACKAGE, Processor  # type: ignore[import-not-found]


class Normalizer(Processor):  # type: ignore[misc]
    def __init__(self, cache_dir: str | None = None, overwrite_cache: bool = False) -> None:
        super().__init__(name="en_normalizer")
        self.build_fst("en_tn", cache_dir or PACKAGE, overwrite_cache)
