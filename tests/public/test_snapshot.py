"""What the public pages are rendered from: the same seconds as the API's, of what is published alone."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.postgres.engine import Sessions
from app.public.publication import Publication
from app.public.service_seconds import DayVerdict, ServiceSeconds
from app.public.snapshot import PublicReader, PublicSnapshot
from app.registry.models import State
from app.settings import PublicSettings
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE
from tests.support.site_histories import day, site_since
from tests.support.status import judge
from tests.support.uptime import count, get


async def read(sessions: Sessions, *, later_s: int = 0, **changes: Any) -> PublicSnapshot:
    publication = Publication.from_settings(PublicSettings(**changes))
    reader = PublicReader(lambda: sessions, publication, now=lambda: utc_now() + timedelta(seconds=later_s))
    return await reader.current()


async def two_villages(session: AsyncSession, cast: Cast) -> None:
    """One is down for two hours three days ago, the other one by satellite and up all the time."""
    await site_since(session, cast, day(5), (day(3, 4), "down"), (day(3, 6), "up"))
    await site_since(session, cast, day(5), village_code=BERAU_VILLAGE, technology="leo")


async def test_a_districts_and_a_villages_days_are_those_of_the_api(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    await two_villages(session, cast)
    await count(session)
    history = (await read(sessions)).history
    answer = await get(cast.sari, "/regions/64.02/uptime", **{"from": day(5), "to": day(0), "step": "day"})
    seconds = [row["seconds"] for row in answer["series"]]
    assert [(days.good, days.bad, days.unknown) for days in history.of("64.02").last(5)] == [
        (of["up"] + of["degraded"], of["down"] + of["unreachable"], of["unknown"]) for of in seconds
    ]
    assert history.of(VILLAGE).last(5) == history.of("64.02").last(5)
    whole = history.of("64").last_30
    assert whole == history.of("64.02").last_30.merged_with(history.of("64.03").last_30)
    total = {name: answer["total"][name] for name in ("uptime_pct", "coverage_pct", "worst_pct", "best_pct")}
    assert history.of(VILLAGE).last_30.percentages == total
    verdicts = [days.verdict for days in history.of(VILLAGE).last(6)]
    assert verdicts == [DayVerdict.NO_SERVICE, *[DayVerdict.NORMAL] * 2, DayVerdict.DISTURBED, *[DayVerdict.NORMAL] * 2]


async def test_days_that_nobody_counted_yet_are_counted_on_request(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    await site_since(session, cast, day(1, 12), (day(1, 18), "down"))
    before = (await read(sessions)).history.of(VILLAGE).last(1)
    await count(session)
    after = (await read(sessions)).history.of(VILLAGE)
    assert before == after.last(1) == [ServiceSeconds(good=6 * 3600, bad=6 * 3600)]
    assert after.today.bad > 0
    assert after.today.good == 0


async def test_what_is_hidden_is_in_no_sum_and_no_list(cast: Cast, session: AsyncSession, sessions: Sessions) -> None:
    await two_villages(session, cast)
    await count(session)
    hiding: list[dict[str, Any]] = [{"hidden_regions": ["64.03.01"]}, {"hidden_technologies": ["leo"]}]
    for hidden in hiding:
        snapshot = await read(sessions, **hidden)
        assert set(snapshot.villages) == {VILLAGE}
        assert snapshot.history.of("64").columns == snapshot.history.of("64.02").columns
        assert snapshot.history.of("64.03").last_30 == ServiceSeconds()
    districts = await read(sessions, level="district")
    assert max(map(len, districts.history.by_code)) == len("64.02")
    nothing = await read(sessions, level="none")
    assert (nothing.villages, nothing.history.by_code) == ({}, {})


async def test_a_village_is_as_good_as_its_best_access_point_and_ages(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    first, second = [await site_since(session, cast, day(1)) for _ in range(2)]
    expected = {
        ("down", "up"): State.UP,
        ("unreachable", "degraded"): State.DEGRADED,
        ("unreachable", "down"): State.DOWN,
    }
    for states, state in expected.items():
        for site_id, of_site in zip((first, second), states, strict=True):
            await judge(session, site_id, of_site)
        village = (await read(sessions)).villages[VILLAGE]
        assert village.state is state
        assert State.UNREACHABLE not in {point.state for point in village.access_points}
    aged = (await read(sessions, later_s=600)).villages[VILLAGE]
    assert {point.state for point in aged.access_points} == {State.UNKNOWN}
    assert all(point.since < utc_now() + timedelta(seconds=60) for point in aged.access_points)


async def test_sites_that_are_not_in_service_and_nodes_are_not_read(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    await site_since(session, cast, day(1), kind="node", village_code="64.02.05.2001")
    await site_since(session, cast, day(1), lifecycle="planned", village_code="64.02.05.2002")
    assert (await read(sessions)).villages == {}


async def test_while_the_database_is_away_states_age_by_our_own_clock(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    site_id = await site_since(session, cast, day(1))
    await judge(session, site_id, "up")
    clock = [utc_now()]
    opened: list[Sessions | None] = [sessions]

    def open_them() -> Sessions:
        if opened[0] is None:
            raise ConnectionRefusedError
        return opened[0]

    reader = PublicReader(open_them, Publication.from_settings(PublicSettings()), now=lambda: clock[0])
    fresh = await reader.current()
    assert (fresh.villages[VILLAGE].state, fresh.late_since) == (State.UP, None)
    clock[0] += timedelta(minutes=5)
    opened[0], reader._fresh_until = None, 0.0
    stale = await reader.current()
    assert stale.villages[VILLAGE].state is State.UNKNOWN
    assert stale.late_since == fresh.at
