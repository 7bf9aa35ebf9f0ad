"""`GET /blind-ranges`: when we could not see, with the evidence, for everyone who is judged by it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.models import Suspect, Suspicion
from probes.contract import CENTRAL, SILENCE
from tests.conftest import Cast, Person
from tests.factories import register

EVIDENCE = {
    "verdict": "silent",
    "canaries": [
        {"address": "192.0.2.1", "beats": 9, "answered": 0},
        {"address": "192.0.2.2", "beats": 9, "answered": 4},
    ],
}
PATH = "/blind-ranges?period=7d"


@pytest.fixture
def at() -> datetime:
    return floor_second(utc_now()) - timedelta(hours=3)


async def record(session: AsyncSession, *ranges: BlindRange, source: str = CENTRAL) -> None:
    async with session.begin():
        await blind_ranges.record(session, ranges, source=source)


async def suspect(session: AsyncSession, at: datetime, sites: Sequence[int], excused: Sequence[bool | None]) -> None:
    async with session.begin():
        suspicion = Suspicion(source=CENTRAL, started_at=at, ended_at=at + timedelta(seconds=11), evidence=EVIDENCE)
        session.add(suspicion)
        await session.flush()
        session.add_all(
            Suspect(
                suspicion_id=suspicion.id,
                site_id=site_id,
                started_at=at,
                lost_at=at + timedelta(seconds=10),
                excused=verdict,
                decided_at=None if verdict is None else at + timedelta(seconds=20),
            )
            for site_id, verdict in zip(sites, excused, strict=True)
        )


async def items(person: Person, path: str = PATH) -> list[dict[str, Any]]:
    answer = await person.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_ranges_and_suspicions_are_listed_newest_first_with_reason_and_evidence(
    cast: Cast, session: AsyncSession, at: datetime
) -> None:
    minute = timedelta(minutes=1)
    await record(
        session, BlindRange(at, at + minute, "uplink", EVIDENCE), BlindRange(at + minute, at + 2 * minute, "stopped")
    )
    await record(session, BlindRange(at - minute, at, "ingest"), source=SILENCE)
    site = (await register(cast))["id"]
    await suspect(session, at + 5 * minute, [site], [True])
    found = await items(cast.ana)
    assert [(item["kind"], item["reason"], item["source"]) for item in found] == [
        ("suspicion", "mass_outage", "central"),
        ("blind", "stopped", "central"),
        ("blind", "uplink", "central"),
        ("blind", "ingest", "silence"),
    ]
    assert found[1]["evidence"] is None
    assert found[2]["duration_s"] == 60
    assert [item["reason"] for item in await items(cast.ana, f"{PATH}&source=silence")] == ["ingest"]
    early = {"from": (at - minute).isoformat(), "to": at.isoformat()}
    answer = await cast.ana.get("/blind-ranges", params=early)
    assert [item["reason"] for item in answer.json()["items"]] == ["ingest"]


async def test_sites_outside_the_callers_scope_are_counted_and_not_named(
    cast: Cast, session: AsyncSession, at: datetime
) -> None:
    own = await register(cast, host="198.51.100.1", provider="iconplus")
    other = await register(cast, host="198.51.100.2", village_code="64.03.01.2001")
    await suspect(session, at, [own["id"], other["id"]], [False, None])
    for person, codes in (
        (cast.sari, [own["code"], other["code"]]),
        (cast.ana, [own["code"]]),
        (cast.ben, [other["code"]]),
        (cast.icon, [own["code"]]),
    ):
        (item,) = await items(person)
        suspicion = item["suspicion"]
        assert [suspicion[name] for name in ("sites", "excused", "counted", "undecided")] == [2, 0, 1, 1]
        assert (suspicion["own_sites"], [site["code"] for site in suspicion["own"]]) == (len(codes), codes)
        assert item["evidence"]["verdict"] == "silent"


async def test_canaries_are_numbered_and_only_the_province_learns_their_addresses(
    cast: Cast, session: AsyncSession, at: datetime
) -> None:
    await record(session, BlindRange(at, at + timedelta(minutes=1), "uplink", EVIDENCE))
    ((seen,), (told,)) = await items(cast.ana), await items(cast.sari)
    assert seen["evidence"]["canaries"] == [
        {"canary": 1, "address": None, "beats": 9, "answered": 0},
        {"canary": 2, "address": None, "beats": 9, "answered": 4},
    ]
    assert [canary["address"] for canary in told["evidence"]["canaries"]] == ["192.0.2.1", "192.0.2.2"]


async def test_thirty_thousand_ranges_come_in_bounded_pages_each_once(
    cast: Cast, session: AsyncSession, at: datetime
) -> None:
    async with session.begin():
        many = text("""
            INSERT INTO blind (source, started_at, ended_at, reason)
            SELECT 'central', cast(:at AS timestamptz) + make_interval(secs => n / 3),
                cast(:at AS timestamptz) + make_interval(secs => n / 3 + 1), 'uplink' FROM generate_series(0, 29999) n
        """)
        await session.execute(many, {"at": at - timedelta(hours=3)})
        await session.execute(text("ANALYZE blind"))
    whole = await cast.ana.get(PATH)
    assert len(whole.json()["items"]) == 100
    seen: list[int] = []
    cursor, pages = "", 0
    while cursor is not None and pages < 3:
        answer = (await cast.ana.get(f"{PATH}&limit=1000{cursor and '&cursor=' + cursor}")).json()
        seen += [item["id"] for item in answer["items"]]
        cursor, pages = answer["next_cursor"], pages + 1
    assert len(seen) == len(set(seen)) == 3000
    assert (await cast.ana.get(f"{PATH}&limit=1001")).status_code == 422


async def test_a_suspicion_of_very_many_sites_names_some_and_counts_them_all(
    cast: Cast, session: AsyncSession, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.judging.blind_range_list.MAX_SITES", 2)
    sites = [(await register(cast, host=f"198.51.100.{n}"))["id"] for n in range(4)]
    await suspect(session, at, sites, [False] * 4)
    (item,) = await items(cast.ana)
    assert (item["suspicion"]["own_sites"], len(item["suspicion"]["own"])) == (4, 2)
