"""Latency over the API of single readings: what enters a percentile, what counts as lost, and what is refused."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.models import Suspect, Suspicion
from app.latency import rollup
from app.postgres.engine import transaction
from probes.contract import CENTRAL, Outcome
from tests.support.histogram import Histogram, summary_of
from tests.support.latency_province import QUANTILES, assert_matches
from tests.support.measured_sites import TECHNOLOGIES, MeasuredSites, percentile, rtt_us

HOUR = timedelta(hours=1)


@pytest.fixture
def measured(measured_since_yesterday: MeasuredSites) -> MeasuredSites:
    return measured_since_yesterday


async def test_unknown_regions_providers_and_technologies_are_refused(measured: MeasuredSites) -> None:
    sari = measured.cast.sari
    for path, status, field in (
        ("/regions/64/latency?provider=nobody", 422, "provider"),
        ("/regions/64/latency?technology=smoke", 422, "technology"),
        ("/providers/iconplus/latency?region=64.99", 422, "region"),
    ):
        answer = await sari.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field), path
    for code in ("6402", "64.99"):
        assert (await sari.get(f"/regions/{code}/latency")).status_code == 404
    for ident in ("nobody", "0", "99999999999", "999999"):
        assert (await sari.get(f"/providers/{ident}/latency")).status_code == 404
    provider = next(item for item in (await sari.get("/providers")).json()["items"] if item["slug"] == "iconplus")
    assert (await sari.get(f"/providers/{provider['id']}/latency")).json()["total"]["samples"] == 0


async def test_faults_and_losses_never_enter_latency(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    at = measured.since + timedelta(minutes=3)
    mixed = [
        measured.reading(site, at, [20_000]),
        measured.reading(site, at + timedelta(minutes=1), None),
        measured.reading(site, at + timedelta(minutes=2), None, outcome=Outcome.FAULT),
        measured.reading(site, at + 2 * HOUR, None),
    ]
    await measured.record(mixed)
    for _ in ("live", "counted"):
        params = {"from": measured.since.isoformat(), "to": (measured.since + 3 * HOUR).isoformat(), "step": "hour"}
        answer = (await measured.cast.sari.get(f"/sites/{site}/latency", params=params)).json()
        assert_matches(answer["total"], mixed)
        assert [(row["samples"], row["loss_pct"]) for row in answer["series"]] == [
            (1, 83.333),
            (0, None),
            (0, 100.0),
        ]
        await measured.roll_up()


async def test_the_percentiles_of_all_technologies_are_within_2_percent(measured: MeasuredSites) -> None:
    """200,000 packets; a million in `make bench`. The total is that of all packets, never a mean of means."""
    by_technology = {name: [rtt_us(name, measured.random) for _ in range(40_000)] for name in TECHNOLOGIES}
    for rtts in (*by_technology.values(), [rtt for some in by_technology.values() for rtt in some]):
        async with transaction(measured.sessions) as session:
            row, python = await summary_of(session, rtts), Histogram.of(rtts)
        for name, q in QUANTILES.items():
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(percentile(rtts, q), rel=0.02)
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(python.quantile(q))


async def test_a_period_that_no_rollup_shortens_is_refused_before_too_many_readings_are_read(
    measured: MeasuredSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    await measured.add_site()
    monkeypatch.setattr("app.latency.raw_counts.MOST_SITE_TIME", HOUR)
    for start, status in ((measured.since, 200), (measured.since - timedelta(seconds=1), 504)):
        params = {"from": start.isoformat(), "to": (measured.since + HOUR).isoformat()}
        answer = await measured.cast.sari.get("/regions/64/latency", params=params)
        assert answer.status_code == status
    assert answer.json()["title"].startswith("Query timed out: choose a shorter period")


async def test_sites_are_counted_from_the_same_readings_as_samples(measured: MeasuredSites) -> None:
    """Late readings of a rolled-up hour, and a period that begins within one, show in both at once."""
    early, late = await measured.add_site(), await measured.add_site("geo")
    hour = measured.since + 2 * HOUR
    await measured.record([measured.reading(early, hour + timedelta(minutes=5), [20_000])])
    await measured.roll_up(now=measured.since + 5 * HOUR)
    await measured.record([measured.reading(late, hour + timedelta(minutes=40), [600_000])])
    for _ in ("stale", "rolled up"):
        for start, samples in ((hour, 2), (hour + timedelta(minutes=30), 1)):
            params = {"from": start.isoformat(), "to": (hour + HOUR).isoformat()}
            answer = (await measured.cast.sari.get("/regions/64/latency", params=params)).json()
            assert (answer["total"]["samples"], answer["sites"]) == (samples, samples)
        await measured.roll_up()


async def test_packets_lost_by_our_own_fault_are_no_loss_live_and_rolled_up(measured: MeasuredSites) -> None:
    """Of an answered reading too, and by whatever was found afterwards: blind ranges and held suspects."""
    site, minute = await measured.add_site(), timedelta(minutes=1)
    at = measured.since + 2 * HOUR
    lossy = [measured.reading(site, at + n * minute, [20_000] if n % 2 else None) for n in range(6)]
    await measured.record(lossy)
    params = {"from": at.isoformat(), "to": (at + HOUR).isoformat()}

    async def loss() -> tuple[int, float]:
        total = (await measured.cast.sari.get(f"/sites/{site}/latency", params=params)).json()["total"]
        return total["samples"], total["loss_pct"]

    for rolled_up in (False, True):
        async with transaction(measured.sessions) as session:
            await session.execute(text("DELETE FROM blind"))
            await session.execute(text("DELETE FROM suspect"))
            await rollup.invalidate(session, at, at + HOUR)
        if rolled_up:
            await measured.roll_up()
        assert await loss() == (3, 83.333)
        async with transaction(measured.sessions) as session:
            blind = BlindRange(at, at + timedelta(seconds=62), "uplink")
            await blind_ranges.record(session, [blind], source=CENTRAL)
            await rollup.invalidate(session, blind.started_at, blind.ended_at)
        for _ in ("found", "counted"):
            assert await loss() == (3, 76.923), "1 of 1, and 2 of 12"
            if rolled_up:
                await measured.roll_up()
        held = at + 2 * minute
        async with transaction(measured.sessions) as session:
            suspicion = Suspicion(source=CENTRAL, started_at=held, ended_at=held)
            session.add(suspicion)
            await session.flush()
            session.add(Suspect(suspicion_id=suspicion.id, site_id=site, started_at=held, lost_at=held))
            await rollup.invalidate(session, held, held + timedelta(seconds=1), site_ids=[site])
        for _ in ("held", "counted"):
            assert await loss() == (3, 70.0), "1 of 1, and 2 of 9"
            if rolled_up:
                await measured.roll_up()
