from __future__ import annotations

from tn.processor import PACKAGE, Processor  # type: ignore[import-not-found]


class Normalizer(Processor):  # type: ignore[misc]
    def __init__(
        self,
        cache_dir: str | None = None,
        overwrite_cache: bool = False,
        remove_interjections: bool = True,
        remove_erhua: bool = True,
        traditional_to_simple: bool = True,
        remove_puncts: bool = False,
        full_to_half: bool = True,
        tag_oov: bool = False,
    ) -> None:
        super().__init__(name="zh_normalizer")
        self.remove_interjections = remove_interjections
        self.remove_erhua = remove_erhua
        self.traditional_to_simple = traditional_to_simple
        self.remove_puncts = remove_puncts
        self.full_to_half = full_to_half
        self.tag_oov = tag_oov
        self.build_fst("zh_tn", cache_dir or PACKAGE, overwrite_cache)
