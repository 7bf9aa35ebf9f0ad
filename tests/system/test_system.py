"""`GET /system`: what every caller learns of the service itself, and what only the province's officers do."""

from datetime import timedelta

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.words import moment_in_words
from app.worker import writer as worker
from app.worker.counters import WorkerCounters
from tests.conftest import Cast
from tests.support.probers import hear, name_vantage, register_prober
from tests.support.status import beat


async def write_beat(session: AsyncSession, figures: WorkerCounters, *, blind: bool = False) -> None:
    async with session.begin():
        now = utc_now()
        since = now if blind else None
        await worker.write_beat(session, now=now, started_at=now, blind_since=since, figures=figures.as_dict())


async def test_everybody_reads_whether_monitoring_works(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await write_beat(session, WorkerCounters(canaries={"127.255.0.1": 1, "127.255.0.2": 1}))
    for person in (cast.sari, cast.ana, cast.vera, cast.icon):
        overview = (await person.get("/system")).json()
        assert (overview["health"], overview["findings"]) == ("working", [])
        assert overview["worker"]["beat_age_s"] < 60
        assert {stage["stage"] for stage in overview["counting"]} >= {"hours", "days", "months"}
    assert (await cast.stranger.get("/system")).status_code == 401


async def test_a_service_that_never_measured_says_so(cast: Cast) -> None:
    overview = (await cast.ana.get("/system")).json()
    assert overview["health"] == "impaired"
    assert overview["summary"]["id"] == "Pemantauan terganggu: belum ada yang diukur."
    assert overview["worker"]["beat_at"] is None


async def test_the_province_reads_what_each_part_does_and_no_one_else(cast: Cast, session: AsyncSession) -> None:
    figures = WorkerCounters(
        rounds=7, overruns=2, sweep_seconds=4.5, buffered_readings=3, canaries={"127.255.0.1": 1, "127.255.0.2": 0}
    )
    await write_beat(session, figures)
    async with session.begin():
        at = utc_now() - timedelta(minutes=5)
        await session.execute(text("INSERT INTO push_inbox (received_at, rows) VALUES (:at, '[]')"), {"at": at})
    overview = (await cast.sari.get("/system")).json()
    details = overview["details"]
    assert [finding["check"] for finding in overview["findings"]] == ["inbox_late", "canary_silent"]
    assert details["probing"] | {"sweeps": 7, "overruns": 2, "sweep_s": 4.5, "buffered": 3} == details["probing"]
    assert details["canaries"][1] == {"canary": 2, "address": "127.255.0.2", "answers": False}
    assert details["inbox"]["waiting"] == 1
    assert details["database"]["is_current"]
    assert details["database"]["tables"][0]["size_bytes"] > 0
    assert details["api"]["max_streams"] == 1000
    for person in (cast.ana, cast.vera, cast.icon):
        answer = await person.get("/system")
        assert answer.json()["details"] is None
        assert "127.255.0" not in answer.text, "whoever knows a canary could silence it"


async def test_counting_says_what_waits_to_be_counted_again(cast: Cast, session: AsyncSession) -> None:
    await beat(session)
    async with session.begin():
        await session.execute(text("INSERT INTO stale_hour (site_id, hour) VALUES (1, date_trunc('hour', now()))"))
    stages = {stage["stage"]: stage for stage in (await cast.ana.get("/system")).json()["counting"]}
    assert stages["hours"]["waiting"] == 1
    assert (stages["months"]["upto"], stages["months"]["lag_s"]) == (None, 0)


async def test_damaged_packs_are_told_whoever_met_them_while_their_hours_are_kept(
    cast: Cast, session: AsyncSession
) -> None:
    canaries = {"127.255.0.1": 1, "127.255.0.2": 1}
    await write_beat(session, WorkerCounters(canaries=canaries))
    set_aside = text(
        "INSERT INTO corrupt_pack (found_at, hour, site_id, source, pack) VALUES (:found, :hour, 1, 0, '')"
    )
    now = utc_now().replace(microsecond=0)
    async with session.begin():
        await session.execute(set_aside, {"found": now, "hour": now - timedelta(days=400)})
    assert (await cast.ana.get("/system")).json()["findings"] == []
    async with session.begin():
        await session.execute(set_aside, {"found": now, "hour": now - timedelta(days=2)})
    met_at = now - timedelta(hours=3)
    figures = WorkerCounters(canaries=canaries, corrupt_packs=4, corrupt_packs_since=met_at.timestamp())
    for counted, packs, since in ((WorkerCounters(canaries=canaries), 1, now), (figures, 4, met_at)):
        await write_beat(session, counted)
        (finding,) = (await cast.ana.get("/system")).json()["findings"]
        assert finding["check"] == "packs_corrupt"
        assert finding["message"]["en"] == (
            f"packed readings are damaged: at least {packs} packs, the first found at {moment_in_words(since)['en']}"
        )


async def test_a_vantage_that_nobody_looks_from_is_found_and_its_probers_are_named(
    cast: Cast, session: AsyncSession
) -> None:
    await name_vantage(session, 1, "telkom")
    office = await register_prober(session, "office", 1)
    figures = WorkerCounters(
        canaries={"127.255.0.1": 1, "127.255.0.2": 1}, vantage_sites={"1": 3}, prober_sites={str(office): 3}
    )
    await write_beat(session, figures)
    assert (await cast.ana.get("/system")).json()["findings"] == []
    await hear(session, office, silent_s=125, clock_offset_ms=5_000, address="10.9.8.7")
    answer = await cast.ana.get("/system")
    findings = {finding["check"]: finding["message"]["id"] for finding in answer.json()["findings"]}
    assert findings == {
        "vantage_unwatched": "tidak ada yang memantau dari telkom: tidak ada kabar dari satu pun pengukur di sana",
        "prober_silent": "tidak ada kabar selama 2 menit 5 detik atau lebih: office (telkom)",
    }
    assert "10.9.8.7" not in answer.text
    async with session.begin():
        await session.execute(text("UPDATE prober SET revoked_at = now()"))
    await write_beat(session, WorkerCounters(canaries=figures.canaries, vantage_sites={"1": 0}))
    assert (await cast.ana.get("/system")).json()["findings"] == []
