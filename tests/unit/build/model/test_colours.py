"""Which colour is live, what share each has, and the .env that follows from it."""

import pytest

from build.errors import ProxyError
from build.model import dotenv
from build.model.colours import Colour, ColourFacts, live, shares
from build.model.placement import KEYS_LABEL, StackAddress


def facts(admin: str = "maint", container: str = "running", rate: int = 0) -> ColourFacts:
    return ColourFacts(release=None, container=container, admin=admin, usable=admin == "ready", rate=rate)


def stack(blue: ColourFacts, green: ColourFacts) -> dict[Colour, ColourFacts]:
    return {Colour.BLUE: blue, Colour.GREEN: green}


def test_live_is_the_colour_in_rotation_with_a_running_container() -> None:
    assert live(stack(facts("ready"), facts("maint"))) is Colour.BLUE
    assert live(stack(facts("drain"), facts("ready"))) is Colour.GREEN
    assert live(stack(facts("ready", container="absent"), facts("maint"))) is None


def test_a_live_colour_that_crashes_is_still_the_live_one() -> None:
    assert live(stack(facts("ready", container="restarting"), facts("maint"))) is Colour.BLUE


def test_two_colours_in_rotation_are_not_guessed_at() -> None:
    with pytest.raises(ProxyError, match="both"):
        live(stack(facts("ready"), facts("ready")))


def test_shares_are_what_was_observed() -> None:
    assert shares(stack(facts(rate=3), facts(rate=1))) == {Colour.BLUE: 0.75, Colour.GREEN: 0.25}
    assert shares(stack(facts(), facts())) == {Colour.BLUE: None, Colour.GREEN: None}


def test_env_has_the_live_profile_alone_and_reads_back() -> None:
    values = dotenv.derive(
        project="p",
        place=StackAddress(1, "10.0.0"),
        proxy_image="x",
        images={Colour.GREEN: "sha256:1"},
        profiles=["green", "green-2"],
        runtime="",
        speech={"TTS_DEVICE": "cpu", "MODELS": ""},
    )
    text = dotenv.render(values)
    assert dotenv.parse(text) == {key: value for key, value in values.items() if value}
    assert dotenv.parse(text)["COMPOSE_PROFILES"] == "green,green-2"
    assert dotenv.parse(text)["TTS_DEVICE"] == "cpu"
    assert dotenv.parse(text)["PUBLISH"] == "127.0.0.1"
    assert not {"APP_RUNTIME", "KEYS_FOLDER"} & set(dotenv.parse(text))
    assert "MODELS" not in dotenv.parse(text)
    assert "BLUE_IMAGE" not in dotenv.parse(text)


def test_a_place_is_read_off_a_proxys_container_and_is_closed_where_that_says_nothing() -> None:
    old = StackAddress.of(7860, {"SUBNET_PREFIX": "10.0.0"}, {})
    assert old == StackAddress(7860, "10.0.0")
    assert str(old) == "at 127.0.0.1:7860, in 10.0.0.0/24, without keys"
    told = {"SUBNET_PREFIX": "10.0.0", "PUBLISHED": "0.0.0.0"}  # noqa: S104
    assert StackAddress.of(1, told, {KEYS_LABEL: "/etc/keys"}) == StackAddress(1, "10.0.0", "0.0.0.0", "/etc/keys")  # noqa: S104


def test_a_broken_env_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 2"):
        dotenv.parse("A=1\nthis is prose\n")
