"""Why a site is said to be in its state: at any second the rule, the readings, and what else decides how it counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_wita, utc_now
from app.judging.blind_ranges import BlindRange
from app.postgres.engine import Sessions
from probes.contract import Outcome, Reading
from tests.conftest import Cast, Person
from tests.factories import register
from tests.support.packed_hours import pack_until
from tests.support.rejudged_village import HOURS, OK, TIMEOUT, Village, backdate
from tests.support.site_histories import day, site_since, under_contract


async def explain(person: Person, site: int | str, at: datetime, **params: Any) -> dict[str, Any]:
    answer = await person.get(f"/sites/{site}/explanation", params={"at": at.isoformat(), **params})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def said(explained: dict[str, Any], language: str = "en") -> str:
    return " ".join(sentence[language] for sentence in explained["why"])


async def village_of(sessions: Sessions, cast: Cast, session: AsyncSession, seed: int) -> Village:
    tower = await register(cast, host="127.9.9.1", kind="node", name="Menara Badak")
    child = await register(cast, host="127.9.9.2", parent_id=tower["id"])
    lone = await register(cast, host="127.9.9.4")
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    return Village(sessions, [tower["id"], child["id"], lone["id"]], start, Random(seed))


def looks(village: Village, site: int, outcomes: Sequence[Outcome], *, start_s: int = 0) -> list[Reading]:
    return [village.reading(site, start_s + 60 * n, outcome) for n, outcome in enumerate(outcomes)]


@pytest.mark.parametrize("seed", range(3))
async def test_an_explanation_and_the_segments_agree_at_every_second(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    village = await village_of(sessions, cast, session, seed)
    readings = sorted(village.random_readings(), key=lambda reading: reading.slot)
    blind = village.random_blind_ranges(4)
    await village.ingest(readings, blind)
    until = village.start + timedelta(hours=HOURS)
    period = {"from": (village.start - timedelta(minutes=5)).isoformat(), "to": utc_now().isoformat(), "limit": 1000}
    for site in village.ids:
        segments = (await cast.sari.get(f"/sites/{site}/segments", params=period)).json()["items"]
        edges = [datetime.fromisoformat(segment["started_at"]) for segment in segments]
        moments = [village.start + timedelta(seconds=village.random.randrange(HOURS * 3600)) for _ in range(12)]
        for at in [*moments, *village.random.sample(edges, min(6, len(edges))), until + timedelta(minutes=30)]:
            explained = await explain(cast.sari, site, at)
            (expected,) = (
                segment
                for segment in segments
                if datetime.fromisoformat(segment["started_at"]) <= at < datetime.fromisoformat(segment["ended_at"])
            )
            assert (explained["state"], explained["unknown_reason"]) == (expected["state"], expected["unknown_reason"])
            segment = explained["segment"]
            last = expected is segments[-1]
            for name in ("started_at", "last_ok_at", "confirmed_at", "evidence", *(() if last else ("ended_at",))):
                assert segment[name] == expected[name], name
            assert explained["counts_as"] == expected["state"]
            assert said(explained)
            assert said(explained, "id")


async def test_an_outage_names_the_looks_that_made_it_and_what_bounds_it(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    site = village.ids[2]
    await village.ingest(looks(village, site, [OK] * 5 + [TIMEOUT] * 4 + [OK] * 3))
    lost, confirmed = village.start + timedelta(minutes=5), village.start + timedelta(minutes=6)
    explained = await explain(cast.ana, site, lost + timedelta(seconds=90))
    assert said(explained).startswith(f"Down since {to_wita(lost).day}")
    assert "two looks in a row got no answer" in said(explained)
    assert "berturut-turut tanpa jawaban" in said(explained, "id")
    marks = {reading["slot"]: reading["marks"] for reading in explained["beginning"] if reading["marks"]}
    assert marks == {
        (lost - timedelta(minutes=1)).isoformat().replace("+00:00", "Z"): ["last_answer"],
        lost.isoformat().replace("+00:00", "Z"): ["began"],
        confirmed.isoformat().replace("+00:00", "Z"): ["confirmed", "newest"],
        (lost + timedelta(minutes=2)).isoformat().replace("+00:00", "Z"): ["next"],
    }
    assert [reading["judged_as"] for reading in explained["readings"]] == ["ok"] * 5 + ["timeout"] * 4 + ["ok"] * 3
    assert "It answered again" in said(explained)
    assert (explained["settled"], explained["profile"]["rtt_ms"]) == (True, 150)


async def test_a_single_lost_look_is_said_to_be_no_outage(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    site = village.ids[2]
    await village.ingest(looks(village, site, [OK, OK, TIMEOUT, OK]))
    explained = await explain(cast.ana, site, village.start + timedelta(seconds=130))
    assert explained["state"] == "up"
    assert "one alone is no outage" in said(explained)


async def test_degraded_names_the_packets_lost_or_the_slow_round_trips(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    slow, lossy = village.ids[0], village.ids[2]
    for site, rtts in ((slow, (400_000,) * 3), (lossy, (20_000,))):
        well = looks(village, site, [OK] * 12)
        slot = well[-1].slot
        ill = [Reading(site, slot + 60 * n, OK, 3, rtts, 60) for n in range(1, 12)]
        await village.ingest([*well, *ill])
    at = village.start + timedelta(minutes=15)
    assert "median round trip of the three looks" in said(await explain(cast.ana, slow, at))
    explained = await explain(cast.ana, lossy, at)
    assert explained["state"] == "degraded"
    assert "6 of 30 packets were lost, 20%; for fiber degraded begins at 15%" in said(explained)
    assert "6 dari 30 paket hilang, yaitu 20%; untuk serat optik" in said(explained, "id")


async def test_behind_a_node_that_is_out_the_node_is_named_to_those_who_may_see_it(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    tower, child, _ = village.ids
    await village.ingest(looks(village, tower, [OK] * 3 + [TIMEOUT] * 5))
    await village.ingest(looks(village, child, [OK] * 3 + [TIMEOUT] * 5, start_s=5))
    at = village.start + timedelta(minutes=5)
    explained = await explain(cast.ana, child, at)
    assert (explained["state"], explained["parent"]["state"]) == ("unreachable", "down")
    assert "while Menara Badak, which it depends on, was out" in said(explained)
    assert all(reading["behind_parent"] for reading in explained["readings"] if reading["judged_as"] == "timeout")
    await session.execute(text("UPDATE site SET village_code = '64.03.01.2001' WHERE id = :id"), {"id": tower})
    await session.commit()
    explained = await explain(cast.ana, child, at)
    assert (explained["parent"]["code"], "Menara" in str(explained)) == (None, False)


async def test_our_own_blindness_is_said_and_what_was_lost_in_it_is_a_fault(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    site = village.ids[2]
    blind = BlindRange(village.start + timedelta(minutes=3), village.start + timedelta(minutes=12), "uplink")
    await village.ingest(looks(village, site, [OK] * 3 + [TIMEOUT] * 9 + [OK] * 2), [blind])
    explained = await explain(cast.ana, site, village.start + timedelta(minutes=8))
    assert (explained["state"], explained["unknown_reason"]) == ("unknown", "blind")
    assert "we could not see" in said(explained)
    assert {reading["our_fault"] for reading in explained["readings"] if reading["judged_as"] == "fault"} == {"uplink"}
    assert [(gap["source"], gap["reason"]) for gap in explained["blind_ranges"]] == [("central", "uplink")]


async def test_maintenance_cause_and_what_a_contract_counts_are_said(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(
        session, cast, day(5), (day(2, 1), "down"), (day(2, 3), "up"), (day(2, 4), "down"), (day(2, 4.05), "up")
    )
    await under_contract(session, site, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    counted = await explain(cast.ana, site, day(2, 2))
    assert [each["counted_as"] for each in counted["contracts"]] == ["counted_down"]
    assert f"Contract K-{site} counts it as down." in said(counted)
    short = await explain(cast.ana, site, day(2, 4.01))
    assert "outages count from 5 min on" in said(short)
    window = {"site": site, "title": "Ganti antena", "reason": "uji", "started_at": day(2, 2).isoformat()}
    planned = await cast.ana.post("/maintenance", {**window, "ended_at": day(2, 2.5).isoformat()})
    assert planned.status_code == 201
    maintained = await explain(cast.ana, site, day(2, 2))
    assert (maintained["counts_as"], maintained["state"]) == ("maintenance", "down")
    assert said(maintained).startswith("Under planned maintenance from")
    assert (await explain(cast.ana, site, day(2, 2.5)))["counts_as"] == "down"


async def test_before_registration_nothing_was_measured_and_the_future_is_refused(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(5))
    explained = await explain(cast.ana, site, day(6))
    assert (explained["state"], explained["counts_as"], explained["segment"]) == (None, "inactive", None)
    assert "Not registered yet" in said(explained)
    for at, code in (((utc_now() + timedelta(hours=1)).isoformat(), "in_the_future"), ("kemarin", None)):
        refused = await cast.ana.get(f"/sites/{site}/explanation", params={"at": at})
        assert refused.status_code == 422
        assert code in {None, refused.json()["errors"][0]["code"]}
    assert (await cast.ben.get(f"/sites/{site}/explanation")).status_code == 404
    assert (await cast.ana.get(f"/sites/{site}/explanation")).json()["state"] == "up"


async def test_a_claim_is_said_to_contest_the_outage_and_to_fill_what_nobody_measured(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(5), (day(2, 1), "down"), (day(2, 3), "up"), (day(2, 5), "unknown"))
    claim = "INSERT INTO claim (site_id, started_at, ended_at, received_at) VALUES (:id, :first, :last, :at)"
    for first, last in ((day(2, 2), day(2, 2.5)), (day(2, 6), day(2, 7))):
        values = {"id": site, "first": first, "last": last, "at": day(1)}
        await session.execute(text(claim), values)
    await session.commit()
    contested = await explain(cast.ana, site, day(2, 2))
    assert (contested["state"], contested["unknown_reason"]) == ("unknown", "claimed")
    assert contested["segment"]["claim"]["proven_state"] == "down"
    assert "its device reported at" in said(contested)
    assert "perangkatnya melaporkan bahwa sambungannya baik" in said(contested, "id")
    filled = await explain(cast.ana, site, day(2, 6))
    assert (filled["state"], said(filled).startswith("Counts as normal since")) == ("up", True)
    assert (await explain(cast.ana, site, day(2, 2.75)))["state"] == "down"


async def test_out_of_service_says_so_and_the_segment_ends_there(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(5))
    statements = (
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, provider_id, village_code, technology, "
        "addressed_at) SELECT site_id, :at, 'suspended', provider_id, village_code, technology, addressed_at "
        "FROM site_configuration WHERE site_id = :id",
    )
    for statement in statements:
        await session.execute(text(statement), {"at": day(2), "id": site})
    await session.commit()
    before, after = await explain(cast.ana, site, day(3)), await explain(cast.ana, site, day(1))
    assert datetime.fromisoformat(before["segment"]["ended_at"]) == day(2)
    assert (after["state"], after["counts_as"]) == (None, "inactive")
    assert "Dihentikan sementara" in said(after, "id")


async def test_a_damaged_hour_is_said_and_keeps_its_state(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await village_of(sessions, cast, session, 1)
    site = village.ids[2]
    await village.ingest(looks(village, site, [OK] * 120))
    hour = (village.start + timedelta(hours=1)).replace(minute=0, second=0)
    await pack_until(sessions, hour + timedelta(hours=1))
    async with session.begin():
        damage = "UPDATE reading_pack SET pack = set_byte(pack, 9, 255 - get_byte(pack, 9)) WHERE hour = :hour"
        await session.execute(text(damage), {"hour": hour})
    for seconds, is_damaged in ((-1, False), (0, True), (3540, True), (3600, False)):
        explained = await explain(cast.sari, site, hour + timedelta(seconds=seconds))
        assert (explained["state"], "are damaged" in said(explained)) == ("up", is_damaged)
