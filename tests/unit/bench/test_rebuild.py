"""The layers that a push adds."""

from __future__ import annotations

from bench.rebuild import new_layers

BASE_LAYERS, APP_LAYERS = 7, 6


def test_only_layers_of_the_base_count_as_dependencies() -> None:
    digests = [f"sha256:{number}" for number in range(BASE_LAYERS + APP_LAYERS)]
    manifest = {"layers": [{"digest": digest} for digest in digests]}
    assert new_layers(manifest, set(digests[BASE_LAYERS:]), BASE_LAYERS) == (APP_LAYERS, 0)
    assert new_layers(manifest, set(digests[BASE_LAYERS - 1 :]), BASE_LAYERS) == (APP_LAYERS + 1, 1)
    assert new_layers(manifest, {digests[-1], "sha256:configuration"}, BASE_LAYERS) == (1, 0)
