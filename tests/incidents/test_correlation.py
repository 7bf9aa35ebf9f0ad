"""Outages of one cause are one incident."""

from datetime import UTC, datetime, timedelta

from app.incidents.correlation import clusters
from app.incidents.outages import Seen, Service, outages
from app.registry.models import State
from tests.incidents.conftest import Field

START = datetime(2026, 11, 24, tzinfo=UTC)


class Down:
    def __init__(self, site_id: int, start: int, end: int | None = None, *, known: bool = False) -> None:
        self.site_id, self.known = site_id, known
        self.started_at = START + timedelta(seconds=start)
        self.ended_at = None if end is None else START + timedelta(seconds=end)


def found(*downs: Down, size: int = 10) -> list[list[int]]:
    return [[one.site_id for one in cluster] for cluster in clusters(downs, size, belongs=lambda one: one.known)]


def test_five_sites_and_a_third_of_them_within_minutes_are_one_cause() -> None:
    five = [Down(site, 75 * (site - 1)) for site in range(1, 6)]
    assert found(*five) == [[1, 2, 3, 4, 5]]
    assert found(*five[:4]) == []
    assert found(*five, size=17) == []
    assert found(*five[:4], Down(5, 301)) == []
    assert found(*five[:4], Down(4, 299)) == [], "a site that went down twice is one site"


def test_what_goes_down_before_the_last_is_back_joins() -> None:
    five = [Down(site, 0, 1000) for site in range(1, 6)]
    assert found(*five, Down(6, 999, 2000), Down(7, 1999), Down(8, 1999)) == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert found(*five, Down(6, 1000)) == [[1, 2, 3, 4, 5]]
    assert found(Down(1, 0, known=True), Down(2, 5000)) == [[1, 2]]


def test_an_outage_ends_with_its_service() -> None:
    def at(second: int) -> datetime:
        return START + timedelta(seconds=second)

    segments = [Seen(at(0), at(100), State.DOWN), Seen(at(100), None, State.DOWN)]
    services = [Service(at(10), at(50)), Service(at(90), at(200))]
    assert [(one.started_at, one.ended_at, one.first_ok_after) for one in outages(segments, services)] == [
        (at(10), at(50), None),
        (at(90), at(200), None),
    ]


async def sites(field_: Field, count: int, **where: object) -> list[int]:
    return [await field_.site(**where) for _ in range(count)]


async def out(field_: Field, site: int, start: int, end: int | None = None) -> None:
    pieces = [(0, start, "up"), (start, end, "down"), *([(end, None, "up")] if end else [])]
    await field_.write(site, *pieces)


async def test_a_provider_out_in_a_district_is_one_incident_that_later_members_join(field_: Field) -> None:
    six = await sites(field_, 6)
    for number, site in enumerate(six[:4]):
        await out(field_, site, 100 + number)
    singles = [one[0] for one in await field_.short()]
    await field_.patch(singles[0], status="acknowledged", cause="power")
    await field_.cast.sari.post(f"/incidents/{singles[1]}/notes", {"text": "menara mati?"})
    await out(field_, six[4], 110)
    (shared,) = await field_.listed(kind="shared")
    assert (shared["status"], shared["cause_hint"], shared["cause"]) == ("open", "provider", None)
    assert sorted(one["id"] for one in shared["sites"]) == six[:5]
    for single in singles:
        merged = await field_.get(single)
        assert (merged["status"], merged["merged_into"], len(merged["sites"])) == ("withdrawn", shared["id"], 1)
    whole = await field_.get(shared["id"])
    assert [note["text"] for note in whole["notes"]] == ["menara mati?"]
    assert [event["kind"] for event in whole["events"]].count("joined") == 5
    await out(field_, six[5], 2000)
    assert len((await field_.get(shared["id"]))["sites"]) == 6
    assert len(await field_.listed(status="open")) == 1


async def test_a_shared_incident_closes_with_its_last_member(field_: Field) -> None:
    six = await sites(field_, 6)
    for site in six[:5]:
        await out(field_, site, 100)
    (shared,) = await field_.listed(kind="shared")
    for site in six[:4]:
        await out(field_, site, 100, 500)
        assert (await field_.get(shared["id"]))["status"] == "open"
    await out(field_, six[4], 100, 900)
    over = await field_.get(shared["id"])
    assert (over["status"], over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (
        "resolved",
        800,
        10,
        860,
    )
    await out(field_, six[5], 901)
    assert [one["kind"] for one in await field_.listed(status="open")] == ["single"]


async def test_a_member_that_is_rejudged_away_leaves_and_the_others_stay(field_: Field) -> None:
    five = await sites(field_, 5)
    for site in five:
        await out(field_, site, 100)
    (shared,) = await field_.listed(kind="shared")
    for gone, site in enumerate(five, start=1):
        await field_.write(site, (0, None, "up"))
        left = await field_.get(shared["id"])
        assert left["status"] == ("open" if gone < 5 else "withdrawn")
        assert [event["kind"] for event in left["events"]].count("left") == gone
    assert len(left["sites"]) == 5, "what is withdrawn still tells what it was"


async def test_sites_on_one_node_are_one_incident_whatever_their_provider(field_: Field) -> None:
    node = await field_.site(kind="node")
    mixed = await sites(field_, 3, parent_id=node) + await sites(field_, 2, parent_id=node, provider="iconplus")
    apart = await sites(field_, 2)
    for site in (*mixed, *apart):
        await out(field_, site, 100)
    (shared,) = await field_.listed(kind="shared")
    assert sorted(one["id"] for one in shared["sites"]) == mixed
    singles = await field_.listed(status="open", kind="single")
    assert sorted(one["sites"][0]["id"] for one in singles) == apart


async def test_the_order_in_which_outages_become_known_does_not_matter(field_: Field) -> None:
    six = await sites(field_, 6)
    starts = {six[0]: 400, six[1]: 100, six[2]: 110, six[3]: 90, six[4]: 130, six[5]: 120}
    for site, start in starts.items():
        await out(field_, site, start, 1000)
    (shared,) = await field_.listed(kind="shared")
    members = [(one["id"], field_.second(one["started_at"])) for one in shared["sites"]]
    assert sorted(members) == sorted(starts.items())
    assert (shared["status"], field_.second(shared["started_at"])) == ("resolved", 90)


async def test_following_a_shared_incident_again_changes_nothing(field_: Field) -> None:
    six = await sites(field_, 6)
    for site in six:
        await out(field_, site, 100)
    before = await field_.everything()
    await field_.follow(*((site, 0, 3600) for site in reversed(six)))
    assert await field_.everything() == before


async def test_a_member_whose_outage_splits_is_a_member_twice(field_: Field) -> None:
    five = await sites(field_, 5)
    for site in five:
        await out(field_, site, 100)
    (shared,) = await field_.listed(kind="shared")
    await field_.write(five[0], (0, 100, "up"), (100, 200, "down"), (200, 300, "up"), (300, None, "down"))
    members = [(one["id"], field_.second(one["started_at"])) for one in (await field_.get(shared["id"]))["sites"]]
    assert members == [*((site, 100) for site in five), (five[0], 300)]
    assert {one["merged_into"] for one in await field_.listed(kind="single")} == {shared["id"]}


async def test_another_district_is_another_cause(field_: Field) -> None:
    here, there = await sites(field_, 3), await sites(field_, 3, village_code="64.03.01.2001")
    for site in (*here, *there):
        await out(field_, site, 100)
    assert await field_.listed(kind="shared") == []
