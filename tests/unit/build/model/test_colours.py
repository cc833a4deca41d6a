"""The live colour, the shares of the traffic, and .env."""

import pytest

from build.errors import ProxyError
from build.model import dotenv
from build.model.colours import Colour, ColourFacts, live, shares
from build.model.placement import KEYS_LABEL, StackAddress


def facts(
    admin: str = "maint", container: str = "running", rate: int = 0, *, up: bool = True, standby: bool = False
) -> ColourFacts:
    usable = admin == "ready" and up
    return ColourFacts(release=None, container=container, admin=admin, usable=usable, rate=rate, standby=standby)


def stack(blue: ColourFacts, green: ColourFacts) -> dict[Colour, ColourFacts]:
    return {Colour.BLUE: blue, Colour.GREEN: green}


def test_live_is_the_colour_in_rotation_with_a_running_container() -> None:
    assert live(stack(facts("ready"), facts("maint"))) is Colour.BLUE
    assert live(stack(facts("drain"), facts("ready"))) is Colour.GREEN
    assert live(stack(facts("ready", container="absent"), facts("maint"))) is None


def test_a_crashing_live_colour_is_still_live() -> None:
    assert live(stack(facts("ready", container="restarting"), facts("maint"))) is Colour.BLUE


def test_a_colour_that_serves_as_a_backup_is_live() -> None:
    backup = facts(standby=True)
    assert live(stack(backup, facts(container="absent"))) is Colour.BLUE, "no regular server exists"
    assert live(stack(backup, facts("ready", up=False))) is Colour.BLUE, "the regular server is down"
    assert live(stack(backup, facts("ready"))) is Colour.GREEN, "backups get requests only without a regular server"
    assert live(stack(facts(), facts("ready", up=False))) is Colour.GREEN
    assert live(stack(facts(standby=True, container="absent"), facts())) is None


def test_two_colours_in_rotation_are_an_error() -> None:
    with pytest.raises(ProxyError, match="both"):
        live(stack(facts("ready"), facts("ready")))


def test_shares_follow_from_the_request_rates() -> None:
    assert shares(stack(facts(rate=3), facts(rate=1))) == {Colour.BLUE: 0.75, Colour.GREEN: 0.25}
    assert shares(stack(facts(), facts())) == {Colour.BLUE: None, Colour.GREEN: None}


def test_env_has_only_the_live_profile_and_parses() -> None:
    values = dotenv.derive(
        file="compose.running.yaml",
        project="p",
        place=StackAddress(1, "10.0.0"),
        proxy_image="x",
        images={Colour.GREEN: "sha256:1"},
        profiles=["green", "green-2"],
        hold_budget_s=60,
    )
    text = dotenv.render(values)
    assert dotenv.parse(text) == {key: value for key, value in values.items() if value}
    assert dotenv.parse(text)["COMPOSE_PROFILES"] == "green,green-2"
    assert dotenv.parse(text)["PUBLISH"] == "127.0.0.1"
    assert not {"KEYS_FOLDER", "BLUE_IMAGE"} & set(dotenv.parse(text))


def test_the_address_of_an_old_proxy_without_labels_is_loopback_without_keys() -> None:
    old = StackAddress.of(7860, {"SUBNET_PREFIX": "10.0.0"}, {})
    assert old == StackAddress(7860, "10.0.0")
    assert str(old) == "at 127.0.0.1:7860, in 10.0.0.0/24, without API keys"
    environment = {"SUBNET_PREFIX": "10.0.0", "PUBLISHED": "192.0.2.1"}
    expected = StackAddress(1, "10.0.0", "192.0.2.1", "/etc/keys")
    assert StackAddress.of(1, environment, {KEYS_LABEL: "/etc/keys"}) == expected


def test_a_broken_env_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 2"):
        dotenv.parse("A=1\nthis is prose\n")
