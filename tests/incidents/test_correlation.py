"""Outages with one cause become one shared incident."""

from datetime import UTC, datetime, timedelta

from app.incidents.correlation import find_clusters
from app.incidents.outages import LedgerSegment, ServicePeriod, derive_outages
from app.registry.models import State
from tests.support.incident_scenario import IncidentScenario

START = datetime(2026, 11, 24, tzinfo=UTC)


class SiteDown:
    def __init__(self, site_id: int, start: int, end: int | None = None, *, is_member: bool = False) -> None:
        self.site_id, self.is_member = site_id, is_member
        self.started_at = START + timedelta(seconds=start)
        self.ended_at = None if end is None else START + timedelta(seconds=end)


def clustered(*downs: SiteDown, size: int = 10) -> list[list[int]]:
    clusters = find_clusters(downs, size, is_member=lambda down: down.is_member)
    return [[down.site_id for down in cluster] for cluster in clusters]


def test_five_sites_and_a_third_of_them_within_minutes_are_one_cause() -> None:
    five = [SiteDown(site, 75 * (site - 1)) for site in range(1, 6)]
    assert clustered(*five) == [[1, 2, 3, 4, 5]]
    assert clustered(*five[:4]) == []
    assert clustered(*five, size=17) == []
    assert clustered(*five[:4], SiteDown(5, 301)) == []
    assert clustered(*five[:4], SiteDown(4, 299)) == [], "a site that went down twice is one site"


def test_what_goes_down_before_the_last_is_back_joins() -> None:
    five = [SiteDown(site, 0, 1000) for site in range(1, 6)]
    assert clustered(*five, SiteDown(6, 999, 2000), SiteDown(7, 1999), SiteDown(8, 1999)) == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert clustered(*five, SiteDown(6, 1000)) == [[1, 2, 3, 4, 5]]
    assert clustered(SiteDown(1, 0, is_member=True), SiteDown(2, 5000)) == [[1, 2]]


def test_an_outage_ends_with_its_service() -> None:
    def at(second: int) -> datetime:
        return START + timedelta(seconds=second)

    segments = [LedgerSegment(at(0), at(100), State.DOWN), LedgerSegment(at(100), None, State.DOWN)]
    services = [ServicePeriod(at(10), at(50)), ServicePeriod(at(90), at(200))]
    assert [(one.started_at, one.ended_at, one.first_ok_after) for one in derive_outages(segments, services)] == [
        (at(10), at(50), None),
        (at(90), at(200), None),
    ]


async def register_sites(scenario: IncidentScenario, count: int, **where: object) -> list[int]:
    return [await scenario.site(**where) for _ in range(count)]


async def write_outage(scenario: IncidentScenario, site: int, start: int, end: int | None = None) -> None:
    pieces = [(0, start, "up"), (start, end, "down"), *([(end, None, "up")] if end else [])]
    await scenario.write(site, *pieces)


async def test_a_provider_out_in_a_district_is_one_incident_that_later_members_join(scenario: IncidentScenario) -> None:
    six = await register_sites(scenario, 6)
    for number, site in enumerate(six[:4]):
        await write_outage(scenario, site, 100 + number)
    singles = [one[0] for one in await scenario.summaries()]
    await scenario.patch(singles[0], status="acknowledged", cause="power")
    await scenario.cast.sari.post(f"/incidents/{singles[1]}/notes", {"text": "menara mati?"})
    await write_outage(scenario, six[4], 110)
    (shared,) = await scenario.list_incidents(kind="shared")
    assert (shared["status"], shared["cause_hint"], shared["cause"]) == ("open", "provider", None)
    assert sorted(one["id"] for one in shared["sites"]) == six[:5]
    for single in singles:
        merged = await scenario.get(single)
        assert (merged["status"], merged["merged_into"], len(merged["sites"])) == ("withdrawn", shared["id"], 1)
    whole = await scenario.get(shared["id"])
    assert [note["text"] for note in whole["notes"]] == ["menara mati?"]
    assert [event["kind"] for event in whole["events"]].count("joined") == 5
    await write_outage(scenario, six[5], 2000)
    assert len((await scenario.get(shared["id"]))["sites"]) == 6
    assert len(await scenario.list_incidents(status="open")) == 1


async def test_a_shared_incident_closes_with_its_last_member(scenario: IncidentScenario) -> None:
    six = await register_sites(scenario, 6)
    for site in six[:5]:
        await write_outage(scenario, site, 100)
    (shared,) = await scenario.list_incidents(kind="shared")
    for site in six[:4]:
        await write_outage(scenario, site, 100, 500)
        assert (await scenario.get(shared["id"]))["status"] == "open"
    await write_outage(scenario, six[4], 100, 900)
    over = await scenario.get(shared["id"])
    assert (over["status"], over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (
        "resolved",
        800,
        10,
        860,
    )
    await write_outage(scenario, six[5], 901)
    assert [one["kind"] for one in await scenario.list_incidents(status="open")] == ["single"]


async def test_a_member_that_is_rejudged_away_leaves_and_the_others_stay(scenario: IncidentScenario) -> None:
    five = await register_sites(scenario, 5)
    for site in five:
        await write_outage(scenario, site, 100)
    (shared,) = await scenario.list_incidents(kind="shared")
    for gone, site in enumerate(five, start=1):
        await scenario.write(site, (0, None, "up"))
        left = await scenario.get(shared["id"])
        assert left["status"] == ("open" if gone < 5 else "withdrawn")
        assert [event["kind"] for event in left["events"]].count("left") == gone
    assert len(left["sites"]) == 5, "what is withdrawn still tells what it was"


async def test_sites_on_one_node_are_one_incident_whatever_their_provider(scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    mixed = await register_sites(scenario, 3, parent_id=node) + await register_sites(
        scenario, 2, parent_id=node, provider="iconplus"
    )
    apart = await register_sites(scenario, 2)
    for site in (*mixed, *apart):
        await write_outage(scenario, site, 100)
    (shared,) = await scenario.list_incidents(kind="shared")
    assert sorted(one["id"] for one in shared["sites"]) == mixed
    singles = await scenario.list_incidents(status="open", kind="single")
    assert sorted(one["sites"][0]["id"] for one in singles) == apart


async def test_the_order_in_which_outages_become_known_does_not_matter(scenario: IncidentScenario) -> None:
    six = await register_sites(scenario, 6)
    starts = {six[0]: 400, six[1]: 100, six[2]: 110, six[3]: 90, six[4]: 130, six[5]: 120}
    for site, start in starts.items():
        await write_outage(scenario, site, start, 1000)
    (shared,) = await scenario.list_incidents(kind="shared")
    members = [(one["id"], scenario.second(one["started_at"])) for one in shared["sites"]]
    assert sorted(members) == sorted(starts.items())
    assert (shared["status"], scenario.second(shared["started_at"])) == ("resolved", 90)


async def test_following_a_shared_incident_again_changes_nothing(scenario: IncidentScenario) -> None:
    six = await register_sites(scenario, 6)
    for site in six:
        await write_outage(scenario, site, 100)
    before = await scenario.dump_tables()
    await scenario.reconcile(*((site, 0, 3600) for site in reversed(six)))
    assert await scenario.dump_tables() == before


async def test_a_member_whose_outage_splits_is_a_member_twice(scenario: IncidentScenario) -> None:
    five = await register_sites(scenario, 5)
    for site in five:
        await write_outage(scenario, site, 100)
    (shared,) = await scenario.list_incidents(kind="shared")
    await scenario.write(five[0], (0, 100, "up"), (100, 200, "down"), (200, 300, "up"), (300, None, "down"))
    members = [(one["id"], scenario.second(one["started_at"])) for one in (await scenario.get(shared["id"]))["sites"]]
    assert members == [*((site, 100) for site in five), (five[0], 300)]
    assert {one["merged_into"] for one in await scenario.list_incidents(kind="single")} == {shared["id"]}


async def test_another_district_is_another_cause(scenario: IncidentScenario) -> None:
    here, there = await register_sites(scenario, 3), await register_sites(scenario, 3, village_code="64.03.01.2001")
    for site in (*here, *there):
        await write_outage(scenario, site, 100)
    assert await scenario.list_incidents(kind="shared") == []
