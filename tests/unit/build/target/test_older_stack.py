"""A stack of 0.1.0 has no agent, and none can start beside its proxy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.errors import PreflightError
from build.model.colours import Colour, ColourFacts
from build.settings import Settings
from build.target.stack import ensure_up
from build.target.target import ComposeTarget
from harness.recorded_progress import RecordedProgress
from harness.stack import REPOSITORY


@pytest.mark.parametrize(
    ("container", "planned"), [("running", {}), ("exited", {}), ("absent", {"blue": "sha256:new"})]
)
def test_a_build_plans_its_image_only_where_no_release_has_a_container(
    tmp_path: Path, container: str, planned: dict[str, str]
) -> None:
    """Without an agent the live colour is unknown, and a new clone has no .env to name it."""
    facts = ColourFacts(release=None, container=container, admin="maint", usable=False)
    absent = replace(facts, container="absent")
    target = ComposeTarget(Settings(root=tmp_path), cast(Any, SimpleNamespace(container=lambda _name: None)))
    target.survey = lambda **_ask: {Colour.BLUE: absent, Colour.GREEN: facts}  # type: ignore[method-assign]
    seen: list[dict[str, str]] = []
    target.refresh_env = lambda _live, **images: seen.append(images)  # type: ignore[method-assign]
    target.adopt("sha256:new", "glm-tts-proxy:new")
    assert seen == [planned]


def test_a_proxy_without_a_shared_socket_is_refused_before_anything_starts() -> None:
    proxy = SimpleNamespace(
        status="running",
        labels={},
        attrs={
            "Config": {"Env": ["SUBNET_PREFIX=172.29.118", "PUBLISHED=127.0.0.1"], "Image": "glm-tts-proxy:old"},
            "HostConfig": {"PortBindings": {"8080/tcp": [{"HostPort": "7860"}]}},
            "Mounts": [{"Type": "volume", "Destination": "/var/lib/haproxy"}],
        },
    )
    engine = SimpleNamespace(container=lambda name: proxy if "proxy" in name else None)
    target = ComposeTarget(Settings(root=REPOSITORY), cast(Any, engine))
    with pytest.raises(PreflightError) as refused:
        ensure_up(target, RecordedProgress())
    assert "upgrading.md" in refused.value.remedy
