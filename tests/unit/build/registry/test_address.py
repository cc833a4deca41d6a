"""Addresses of registries."""

from __future__ import annotations

import pytest

from build.errors import UsageError
from build.registry.client import Registry


@pytest.mark.parametrize("url", ["https://registry.example/team", "http://127.0.0.1:5000"])
def test_a_url_is_refused_with_the_correct_name_as_remedy(url: str) -> None:
    with pytest.raises(UsageError, match="is a URL") as refused:
        Registry(url)
    assert refused.value.remedy == f"use {url.partition('://')[2]}"


@pytest.mark.parametrize("address", ["joe:secret@registry.example/team", "https://joe:secret@registry.example/team"])
def test_credentials_in_an_address_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(UsageError, match="contains credentials") as refused:
        Registry(address)
    assert "secret" not in f"{refused.value.message}{refused.value.remedy}"
    assert "docker login registry.example" in refused.value.remedy


@pytest.mark.parametrize("address", ["registry.example/team", "registry.example/team/"])
def test_names_are_prefixed_with_host_and_namespace(address: str) -> None:
    assert Registry(address).full("thing") == "registry.example/team/thing"
