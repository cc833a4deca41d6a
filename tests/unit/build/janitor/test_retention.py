"""Retention rules one by one, and random plans that never remove a needed item."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from build.janitor import retention
from build.janitor.host import Scope
from build.janitor.retention import Action, Location, Policy, Role, StorageFacts, StoredItem
from build.model.release import Release
from build.model.states import State
from build.state.history import Cutover

NOW = 1_000_000_000.0
OLD = NOW - 90 * 86400
POLICY = Policy(keep_releases=2, cache_bytes=100, keep_logs_s=30 * 86400)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def sha(number: int) -> str:
    return f"{number:040x}"


def app(number: int, **changes: object) -> StoredItem:
    """Release `number`, verified; the higher the number, the newer."""
    item = StoredItem(
        Location.HOST,
        digest(number),
        size=10,
        created=OLD + number,
        modified=OLD + number,
        role=Role.APP,
        names=(f"glm-tts-slim:{sha(number)}",),
        release=sha(number),
        verified=True,
    )
    return replace(item, **changes)  # type: ignore[arg-type]  # the fields of StoredItem


def base(number: int, **changes: object) -> StoredItem:
    names = (f"glm-tts-base-slim:{number:016x}",)
    item = app(number, id=digest(1000 + number), role=Role.BASE, names=names, release="", verified=False)
    return replace(item, **changes)  # type: ignore[arg-type]  # the fields of StoredItem


def planned(*items: StoredItem, policy: Policy = POLICY, cache_bytes: int = 0, needed: str = "") -> dict[str, Action]:
    names = {needed: "live"} if needed else {}
    return {
        action.item.id: action for action in retention.plan(StorageFacts(tuple(items), names, NOW, cache_bytes), policy)
    }


def kept(*items: StoredItem, policy: Policy = POLICY) -> set[str]:
    item_ids = {item.id for item in items}
    return {name for name, action in planned(*items, policy=policy).items() if action.keep} & item_ids


def test_the_last_verified_releases_are_kept_and_older_ones_removed() -> None:
    apps = [app(number) for number in (3, 1, 4, 2)]
    assert kept(*apps) == {digest(3), digest(4)}
    found = planned(*apps)
    assert found[digest(3)].why == "number 2 of the last 2 verified"
    assert found[digest(2)].why == "older than the last 2 verified"


def test_unverified_releases_are_removed_and_do_not_count() -> None:
    assert kept(app(1), app(2), app(9, verified=False)) == {digest(1), digest(2)}


@pytest.mark.parametrize("name", [digest(1), sha(1), f"glm-tts-slim:{sha(1)}"])
def test_a_needed_image_is_kept_by_any_of_its_names(name: str) -> None:
    facts = StorageFacts((app(1), app(2), app(3)), {name: "container x"}, NOW)
    action = next(action for action in retention.plan(facts, POLICY) if action.item.id == digest(1))
    assert (action.keep, action.why) == (True, "container x")


def test_a_digest_is_recognised_under_the_name_of_another_registry() -> None:
    item = app(1, verified=False, names=(f"mirror.example/glm-tts-slim@{digest(77)}",))
    assert kept(item) == set()
    facts = StorageFacts((item,), {digest(77): "live"}, NOW)
    assert retention.plan(facts, POLICY)[0].keep


def test_pinned_and_young_images_are_kept() -> None:
    pinned = app(1, names=(f"glm-tts-slim:{sha(1)}", "glm-tts-slim:pinned-000000000001"))
    young = app(2, verified=False, modified=NOW - 3599)
    hour_old = app(3, verified=False, modified=NOW - 3601)
    none = replace(POLICY, keep_releases=0)
    assert kept(pinned, young, hour_old, policy=none) == {digest(1), digest(2)}


def test_a_base_is_kept_for_its_apps_by_digest_name_or_layers() -> None:
    by_digest, by_name, by_layers, unused, newest = (base(number) for number in (1, 2, 3, 4, 5))
    by_layers = replace(by_layers, layers=("a", "b"))
    apps = [
        app(1, parents=(by_digest.id,)),
        app(2, parents=by_name.names),
        app(3, layers=("a", "b", "c")),
        app(4, verified=False, parents=(unused.id,)),
    ]
    stay = kept(*apps, by_digest, by_name, by_layers, unused, newest, policy=replace(POLICY, keep_releases=3))
    assert stay & {item.id for item in (by_digest, by_name, by_layers, unused, newest)} == {
        by_digest.id,
        by_name.id,
        by_layers.id,
        newest.id,
    }


def test_the_newest_proxy_is_kept_and_older_ones_only_while_in_use() -> None:
    old, used, newest = (base(number, role=Role.PROXY, names=(f"glm-tts-proxy:{number:016x}",)) for number in (1, 2, 3))
    facts = StorageFacts((old, used, newest), {used.id: "container proxy"}, NOW)
    assert [action.keep for action in retention.plan(facts, POLICY)[:3]] == [False, True, True]


def test_a_registry_keeps_versions_and_the_artifacts_of_kept_images() -> None:
    def remote(number: int, tag: str = "") -> StoredItem:
        where = "registry.example/team/glm-tts-slim"
        return app(
            number, place=Location.REGISTRY, names=(f"{where}:{tag or sha(number)}", f"{where}@{digest(number)}")
        )

    def artifact(number: int) -> StoredItem:
        tag = f"sha256-{number:064x}"
        names = (f"registry.example/team/glm-tts-slim:{tag}",)
        return app(500 + number, place=Location.REGISTRY, role=Role.ARTIFACT, names=names, parents=(digest(number),))

    items = [remote(1), remote(2, "v1.0.0"), remote(3), remote(4), *(artifact(number) for number in (1, 2, 3, 99))]
    stay = kept(*items, policy=replace(POLICY, keep_releases=1))
    assert stay == {digest(2), digest(4), digest(502)}


def test_the_staging_and_the_production_image_of_a_commit_count_as_one_release() -> None:
    def remote(number: int, release: int, tag: str) -> StoredItem:
        where = "registry.example/team/glm-tts-slim"
        names = (f"{where}:{tag}", f"{where}@{digest(number)}")
        return app(release, id=digest(number), place=Location.REGISTRY, names=names)

    items = [remote(1, 1, sha(1)), remote(2, 2, sha(2)), remote(3, 3, sha(3)), remote(4, 3, "v1.0.0")]
    assert kept(*items) == {digest(2), digest(3), digest(4)}


def test_old_records_are_removed_unless_they_mention_a_kept_image() -> None:
    def record(name: str, text: str, modified: float = OLD) -> StoredItem:
        return StoredItem(Location.FILES, name, 1, modified, modified, text=text)

    files = [
        record("of-kept", f'{{"image": "{digest(2)}"}}'),
        record("of-release", sha(3)),
        record("of-needed", digest(40)),
        record("of-removed", digest(1)),
        record("recent", digest(1), NOW - 86400),
    ]
    found = planned(app(1), app(2), app(3), *files, needed=digest(40))
    assert {name for name, action in found.items() if action.keep} >= {"of-kept", "of-release", "of-needed", "recent"}
    assert not found["of-removed"].keep


def test_the_build_cache_is_cut_to_the_limit() -> None:
    cache = planned(cache_bytes=150)["least recently used records"]
    assert (cache.keep, cache.item.size) == (False, 50)
    assert planned(cache_bytes=100)["least recently used records"].keep


def test_no_plan_removes_a_needed_pinned_or_young_image_or_the_base_of_a_kept_app() -> None:
    dice = random.Random(20)
    for _ in range(300):
        facts, policy = anything(dice)
        actions = retention.plan(facts, policy)
        images = [item for item in facts.items if item.place in {Location.HOST, Location.REGISTRY}]
        assert len(actions) == len(facts.items) + 1
        assert all(action.why for action in actions)
        stay = {action.item for action in actions if action.keep}
        standing = {name for item in stay if item.role is Role.APP for name in item.parents}
        for gone in set(images) - stay:
            assert not gone.identifiers & set(facts.needed)
            assert not any(tag.startswith("pinned-") for tag in gone.tags)
            assert facts.now - gone.modified >= policy.young_s
            assert not (gone.role is Role.BASE and gone.identifiers & standing)
        for place in (Location.HOST, Location.REGISTRY):
            verified = sorted(
                (item for item in images if item.place is place and item.role is Role.APP and item.verified),
                key=lambda item: -item.created,
            )
            assert set(verified[: policy.keep_releases]) <= stay


def anything(dice: random.Random) -> tuple[StorageFacts, Policy]:
    bases = [base(number, place=dice.choice((Location.HOST, Location.REGISTRY))) for number in range(dice.randrange(5))]
    apps = [
        app(
            number,
            place=dice.choice((Location.HOST, Location.REGISTRY)),
            verified=dice.random() < 0.6,
            modified=dice.choice((OLD, OLD + number, NOW - 10)),
            parents=(dice.choice((dice.choice(bases).id, *dice.choice(bases).names)),) if bases else (),
            names=(f"glm-tts-slim:{sha(number)}", *(["glm-tts-slim:pinned-1"] if dice.random() < 0.2 else [])),
        )
        for number in range(dice.randrange(12))
    ]
    names = sorted(name for item in apps + bases for name in item.identifiers)
    needed = dict.fromkeys(dice.sample(names, min(len(names), dice.randrange(4))), "container x")
    items = bases + apps
    dice.shuffle(items)
    return StorageFacts(tuple(items), needed, NOW), replace(POLICY, keep_releases=dice.randrange(4))


def cutover(number: int, *, state: State = State.RETIRED, previous: int | None = None, **changes: object) -> Cutover:
    before = Release(sha(previous), digest(previous)) if previous else None
    made = Cutover(str(number), "switch", Release(sha(number), digest(number)), "blue", before, "", ended="then")
    return replace(made, state=state, **changes)  # type: ignore[arg-type]  # the fields of Cutover


def test_removal_is_refused_during_a_cutover_and_after_a_failed_one() -> None:
    good = cutover(1)
    assert retention.refusal([]) == ""
    assert retention.refusal([cutover(2, state=State.FAILED), good]) == ""
    for state in (State.FAILED, State.ROLLED_BACK, State.HELD):
        assert "failed" in retention.refusal([good, cutover(2, state=state, error="the gate refused")])
    assert "failed" in retention.refusal([cutover(2, state=State.FAILED)])  # the next cutover abandoned it
    assert "in progress" in retention.refusal([good, cutover(2, state=State.WARMING, ended="")])
    assert "failed" in retention.refusal([good, cutover(2, state=State.SWITCHED, error="did not drain")])


def test_the_journal_needs_the_live_last_good_newest_and_previous_release() -> None:
    past = [cutover(1), cutover(2, previous=1), cutover(3, previous=2)]
    live = Release(sha(3), digest(3))
    assert {sha(2), digest(2), sha(3), digest(3)} == set(retention.journaled(past, [live, None]))
    back = cutover(2, previous=3, kind="rollback", id="4")
    needed = retention.journaled([*past, back], [Release(sha(2), digest(2))])
    assert needed[sha(1)] == "last good release"
    assert retention.served([*past, cutover(9, state=State.FAILED)]) == {digest(1), digest(2), digest(3)}


def test_names_of_the_project_are_distinguished_from_others() -> None:
    everything, ours = Scope(), Scope(prefix="mine")
    assert everything.role("glm-tts-slim") is Role.APP
    assert everything.role("127.0.0.1:5000/team/glm-tts-base-cuda") is Role.BASE
    assert everything.role("registry.example/standin/conda-channel") is Role.CHANNEL
    assert everything.role("another-user/glm-tts-slim") is None
    assert everything.role("glm-tts-test-registry") is None
    assert ours.role("mine/glm-tts-proxy") is Role.PROXY
    assert ours.role("glm-tts-proxy") is None


def test_an_operator_names_images_to_keep_by_commit_name_or_digest() -> None:
    one = int("ab" * 20, 16)
    items = [app(one), app(one, place=Location.REGISTRY), app(2)]
    for name in (sha(one), sha(one)[:7], digest(one), items[0].name):
        found = retention.chosen(items, [name])
        assert [item.release for item in found[name]] == [sha(one), sha(one)], name
    assert retention.chosen(items, [sha(9), sha(one)[:6]]) == {sha(9): [], sha(one)[:6]: []}
