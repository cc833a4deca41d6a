"""A stack of 0.1.0 has no agent, and none can start beside its proxy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.errors import PreflightError
from build.settings import Settings
from build.target.stack import ensure_up
from build.target.target import ComposeTarget
from harness.recorded_progress import RecordedProgress
from harness.stack import REPOSITORY


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
