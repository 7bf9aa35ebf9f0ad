"""The ledger on a real database: what ingested readings come to, and how it is read back."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, to_slot, utc_now
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.ingest import JudgedSite
from app.postgres.engine import Sessions, transaction
from app.worker import writer as worker
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT


class MeasuredSite:
    """A site registered a while ago, and readings of it at seconds after `start`."""

    def __init__(self, sessions: Sessions, cast: Cast, site: dict[str, Any], start: datetime) -> None:
        self.sessions, self.cast, self.id, self.start = sessions, cast, site["id"], start

    async def ingest(self, *outcomes: tuple[int, Outcome], blind: list[BlindRange] | None = None) -> list[JudgedSite]:
        addressed = [(self.reading(second, outcome), self.start) for second, outcome in outcomes]
        async with transaction(self.sessions) as session:
            return await worker.write_batch(session, addressed, blind or [])

    def reading(self, second: int, outcome: Outcome) -> Reading:
        rtt = (20_000, 21_000, 25_000) if outcome is OK else ()
        slot = to_slot(self.start) + second
        return Reading(self.id, slot, outcome, 0 if outcome is FAULT else 3, rtt, 60, None, CENTRAL)

    async def segments(self) -> list[tuple[int, int | None, str, str | None]]:
        async with transaction(self.sessions) as session:
            rows = await session.execute(
                text(
                    "SELECT started_at, ended_at, state, unknown_reason FROM state_segment "
                    "WHERE site_id = :id ORDER BY started_at"
                ),
                {"id": self.id},
            )
            return [(self.second(a), b and self.second(b), state, reason) for a, b, state, reason in rows]

    def second(self, moment: datetime) -> int:
        return round((moment - self.start).total_seconds())

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.cast.sari.get(f"/sites/{self.id}{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def measured(cast: Cast, sessions: Sessions, session: AsyncSession) -> MeasuredSite:
    site = await register(cast)
    start = floor_second(utc_now()) - timedelta(hours=1)
    async with session.begin():
        for statement in (
            "UPDATE site SET addressed_at = :start, created_at = :start WHERE id = :id",
            "UPDATE site_status SET addressed_at = :start, since = :start WHERE site_id = :id",
            "UPDATE site_configuration SET started_at = :start, addressed_at = :start WHERE site_id = :id",
        ):
            await session.execute(text(statement), {"start": start, "id": site["id"]})
    return MeasuredSite(sessions, cast, site, start)


async def test_an_outage_is_written_from_its_first_lost_slot_with_the_evidence_that_bounds_it(
    measured: MeasuredSite,
) -> None:
    for outcome in ((0, OK), (60, OK), (120, TIMEOUT), (130, TIMEOUT), (140, OK)):
        await measured.ingest(outcome)
    assert await measured.segments() == [
        (0, 120, "up", None),
        (120, 140, "down", None),
        (140, None, "up", None),
    ]
    shown = (await measured.get("/segments", period="1h"))["items"]
    down = next(item for item in shown if item["state"] == "down")
    bounds = {name: measured.second(datetime.fromisoformat(down[name])) for name in ("last_ok_at", "first_ok_after")}
    assert bounds == {"last_ok_at": 60, "first_ok_after": 140}
    assert down["duration_s"] == 20


async def test_a_new_configuration_within_a_segment_does_not_split_it(
    measured: MeasuredSite, session: AsyncSession
) -> None:
    for outcome in ((0, OK), (60, OK), (120, TIMEOUT), (130, TIMEOUT), (140, OK)):
        await measured.ingest(outcome)
    async with session.begin():
        for statement in (
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
            """INSERT INTO site_configuration SELECT (jsonb_populate_record(c, jsonb_build_object(
                'started_at', c.ended_at, 'ended_at', NULL, 'speed_budget_mb', 9))).*
            FROM site_configuration c WHERE site_id = :id""",
        ):
            await session.execute(text(statement), {"at": measured.start + timedelta(seconds=130), "id": measured.id})
    shown = (await measured.get("/segments", period="1h"))["items"]
    assert [(item["state"], item["duration_s"]) for item in shown if item["state"] == "down"] == [("down", 20)]


async def test_a_batch_that_comes_twice_counts_once(measured: MeasuredSite) -> None:
    batch = [(0, OK), (60, TIMEOUT), (70, TIMEOUT)]
    await measured.ingest(*batch)
    before = await measured.segments(), (await measured.get("/measurements", period="2h"))["items"]
    await measured.ingest(*batch)
    assert (await measured.segments(), (await measured.get("/measurements", period="2h"))["items"]) == before
    assert len(before[1]) == 3


async def test_timeouts_while_we_were_blind_are_our_fault(measured: MeasuredSite) -> None:
    blind = BlindRange(measured.start + timedelta(seconds=55), measured.start + timedelta(seconds=75), "uplink")
    await measured.ingest((0, OK))
    await measured.ingest((60, TIMEOUT), (70, TIMEOUT), blind=[blind])
    await measured.ingest((120, OK))
    assert await measured.segments() == [(0, 60, "up", None), (60, 120, "unknown", "blind"), (120, None, "up", None)]


async def test_a_stop_of_any_length_is_unknown_for_the_readings_it_cost(measured: MeasuredSite) -> None:
    stopped = BlindRange(measured.start + timedelta(seconds=70), measured.start + timedelta(seconds=130), "stopped")
    await measured.ingest((0, OK), (60, OK))
    await measured.ingest((140, OK), blind=[stopped])
    await measured.ingest((200, OK), (320, OK))
    assert await measured.segments() == [
        (0, 120, "up", None),
        (120, 140, "unknown", "stopped"),
        (140, None, "up", None),
    ]


async def test_an_outage_right_after_a_blind_range_begins_with_its_first_lost_reading(measured: MeasuredSite) -> None:
    blind = BlindRange(measured.start + timedelta(seconds=74), measured.start + timedelta(seconds=121), "uplink")
    await measured.ingest((0, OK), (60, OK))
    await measured.ingest((120, OK), blind=[blind])
    await measured.ingest((180, TIMEOUT), (190, TIMEOUT))
    assert await measured.segments() == [(0, 180, "up", None), (180, None, "down", None)]


async def test_a_retired_site_has_no_state_any_more(measured: MeasuredSite) -> None:
    await measured.ingest((0, OK), (3590, OK))
    await measured.cast.sari.delete(f"/sites/{measured.id}")
    site = await measured.get("")
    assert (site["lifecycle"], site["state"]) == ("retired", "unknown")
    last = (await measured.get("/segments", period="2h", limit="1000"))["items"][-1]
    assert abs(measured.second(datetime.fromisoformat(last["ended_at"])) - 3600) <= 3


async def test_a_long_blindness_is_unknown_and_says_why(measured: MeasuredSite) -> None:
    blind = BlindRange(measured.start + timedelta(seconds=1), measured.start + timedelta(seconds=900), "uplink")
    stopped = BlindRange(measured.start + timedelta(seconds=961), measured.start + timedelta(seconds=2000), "stopped")
    await measured.ingest((0, OK))
    await measured.ingest(*((second, TIMEOUT) for second in range(60, 900, 60)), (900, OK), blind=[blind])
    await measured.ingest((2000, OK), blind=[stopped])
    assert await measured.segments() == [
        (0, 60, "up", None),
        (60, 900, "unknown", "blind"),
        (900, 960, "up", None),
        (960, 2000, "unknown", "stopped"),
        (2000, None, "up", None),
    ]


async def test_a_reading_of_an_earlier_address_says_nothing_of_the_new_one(
    measured: MeasuredSite, session: AsyncSession
) -> None:
    await measured.ingest((0, OK))
    async with session.begin():
        moved = measured.start + timedelta(seconds=30)
        for statement in (
            "UPDATE site SET addressed_at = :at WHERE id = :id",
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
            "INSERT INTO site_configuration (site_id, started_at, addressed_at, lifecycle, technology, provider_id, "
            "village_code) SELECT id, :at, :at, lifecycle, technology, provider_id, village_code FROM site "
            "WHERE id = :id",
        ):
            await session.execute(text(statement), {"at": moved, "id": measured.id})
    await measured.ingest((60, OK))
    assert await measured.segments() == [(0, 30, "up", None), (30, None, "unknown", "never_seen")]


async def test_every_second_of_a_site_is_accounted_for(measured: MeasuredSite) -> None:
    await measured.ingest((0, OK), (60, TIMEOUT), (70, TIMEOUT), (80, OK), (140, OK))
    answer = await measured.get(
        "/uptime", **{"from": measured.start.isoformat(), "to": from_slot(9_999_999_999).isoformat()}
    )
    start, end = datetime.fromisoformat(answer["from"]), datetime.fromisoformat(answer["to"])
    seconds = answer["total"]["seconds"]
    assert sum(seconds.values()) == round((end - start).total_seconds())
    assert (seconds["down"], seconds["up"]) == (20, 180)
    assert answer["total"]["outages"] == 1
    assert sum(part["seconds"]["down"] for part in answer["series"]) == 20


async def test_before_its_registration_a_site_is_inactive(measured: MeasuredSite) -> None:
    answer = await measured.get("/uptime", period="2h")
    assert answer["total"]["seconds"]["inactive"] == pytest.approx(3600, abs=2)
    assert answer["total"]["uptime_pct"] is None


async def test_what_is_too_old_is_never_shown_as_fresh(measured: MeasuredSite) -> None:
    await measured.ingest((0, OK))
    site = await measured.get("")
    assert site["state"] == "unknown"
    assert measured.second(datetime.fromisoformat(site["since"])) == 60
    segments = (await measured.get("/segments", period="1h"))["items"]
    assert [(item["state"], item["unknown_reason"]) for item in segments][-1] == ("unknown", "stopped")


async def test_a_suspended_site_is_inactive_meanwhile(measured: MeasuredSite) -> None:
    await measured.cast.sari.patch(f"/sites/{measured.id}", {"lifecycle": "suspended"})
    answer = await measured.get("/uptime", period="1h")
    assert answer["total"]["seconds"]["inactive"] <= 2
    async with transaction(measured.sessions) as session:
        await session.execute(
            text("UPDATE site_configuration SET ended_at = :at WHERE lifecycle = 'active'"),
            {"at": measured.start + timedelta(minutes=30)},
        )
        await session.execute(
            text("UPDATE site_configuration SET started_at = :at WHERE lifecycle = 'suspended'"),
            {"at": measured.start + timedelta(minutes=30)},
        )
    answer = await measured.get("/uptime", period="1h")
    assert answer["total"]["seconds"]["inactive"] == pytest.approx(1800, abs=2)


async def test_latency_never_counts_what_was_lost(measured: MeasuredSite) -> None:
    await measured.ingest((0, OK), (60, TIMEOUT), (70, OK))
    total = (await measured.get("/latency", period="2h"))["total"]
    assert (total["samples"], total["loss_pct"]) == (6, 33.333)
    assert (total["min_ms"], total["max_ms"]) == (20.0, 25.0)
    assert total["p50_ms"] == pytest.approx(21.0, rel=0.02)
    assert total["jitter_ms"] == 2.5
    nothing = (await measured.get("/latency", period="2026-10"))["total"]
    assert (nothing["samples"], nothing["loss_pct"], nothing["p50_ms"]) == (0, None, None)


async def test_the_database_itself_refuses_overlapping_and_empty_segments(measured: MeasuredSite) -> None:
    await measured.ingest((0, OK), (60, TIMEOUT), (70, TIMEOUT))
    insert = "INSERT INTO state_segment (site_id, started_at, ended_at, state) VALUES (:id, :a, :b, 'up')"
    for first, last in ((30, 90), (-60, -60)):
        moments = {"a": measured.start + timedelta(seconds=first), "b": measured.start + timedelta(seconds=last)}
        with pytest.raises(IntegrityError):
            async with transaction(measured.sessions) as session:
                await session.execute(text(insert), {"id": measured.id, **moments})


async def test_a_gaps_reason_is_the_blind_range_that_covers_most_of_it() -> None:
    start = from_slot(1_800_000_000)
    ranges = [
        BlindRange(start, start + timedelta(seconds=10), "uplink"),
        BlindRange(start + timedelta(seconds=10), start + timedelta(seconds=100), "stopped"),
    ]
    assert blind_ranges.gap_reason(ranges, start, start + timedelta(seconds=200)).value == "stopped"
    assert blind_ranges.gap_reason([], start, start + timedelta(seconds=200)).value == "silent"


async def test_a_batch_in_any_order_finds_its_blind_ranges(measured: MeasuredSite) -> None:
    blind = BlindRange(measured.start + timedelta(seconds=68), measured.start + timedelta(seconds=80), "uplink")
    await measured.ingest((0, OK))
    await measured.ingest((130, TIMEOUT), (70, TIMEOUT), (60, TIMEOUT), blind=[blind])
    assert await measured.segments() == [(0, 60, "up", None), (60, None, "unknown", "blind")]


async def test_pages_of_segments_follow_each_other_while_time_goes_on(measured: MeasuredSite) -> None:
    for second in range(0, 3000, 300):
        await measured.ingest((second, OK), (second + 60, OK))
    whole = (await measured.get("/segments", period="2h", limit="1000"))["items"]
    seen, page = [], await measured.get("/segments", period="2h", limit="4")
    while True:
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        page = await measured.get("/segments", limit="4", cursor=page["next_cursor"])
    assert [item["started_at"] for item in seen] == [item["started_at"] for item in whole]


async def test_packets_of_an_answered_reading_lost_while_we_were_blind_degrade_nothing(measured: MeasuredSite) -> None:
    """Whether the blindness is known with the reading or found afterwards; and the reading says so."""
    lossy = [replace(measured.reading(60 * n, OK), rtt_us=(20_000,)) for n in range(10)]
    blind = [
        BlindRange(measured.start + timedelta(seconds=60 * n + 1), measured.start + timedelta(seconds=60 * n + 3), why)
        for n, why in enumerate(["uplink", "clock"] * 5)
    ]
    async with transaction(measured.sessions) as session:
        await worker.write_batch(session, [(reading, measured.start) for reading in lossy], [])
    assert [state for _, _, state, _ in await measured.segments()] == ["up", "degraded"]
    async with transaction(measured.sessions) as session:
        await worker.write_batch(session, [], blind[:9])
    items = (await measured.get("/measurements", period="2h"))["items"]
    assert [item["our_fault"] for item in items] == ["uplink", "clock"] * 4 + ["uplink", None]
    async with transaction(measured.sessions) as session:
        await worker.write_batch(session, [(measured.reading(600, OK), measured.start)], blind[9:])
    assert await measured.segments() == [(0, None, "up", None)]
