"""Latency over the API: the same whichever tiers it is read from, for a site, a region, a provider, a technology."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.clock import WITA, from_slot, midnight
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.models import Suspect, Suspicion
from app.latency import histogram_sql, rollup
from app.measurements import partitions
from app.postgres.engine import transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Person
from tests.support.histogram import Histogram
from tests.support.measured_sites import TECHNOLOGIES, MeasuredSites, percentile, rtt_us

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def assert_matches(row: dict[str, Any], readings: Sequence[Reading]) -> None:
    """Compare a row with its readings: percentiles within 2%, everything else exact."""
    rtts = [rtt for reading in readings for rtt in reading.rtt_us]
    sent = sum(reading.sent for reading in readings)
    assert row["samples"] == len(rtts)
    assert row["loss_pct"] == (None if sent == 0 else (sent - len(rtts)) * 100_000 // sent / 1000)
    if not rtts:
        assert row["min_ms"] is row["mean_ms"] is row["p50_ms"] is row["max_ms"] is row["jitter_ms"] is None
        return
    steps = [abs(a - b) for r in readings for a, b in zip(r.rtt_us, r.rtt_us[1:], strict=False)]
    assert (row["min_ms"], row["max_ms"]) == (min(rtts) / 1000, max(rtts) / 1000)
    assert row["mean_ms"] == pytest.approx(sum(rtts) / len(rtts) / 1000, abs=0.001)
    assert row["jitter_ms"] == (pytest.approx(sum(steps) / len(steps) / 1000, abs=0.001) if steps else None)
    for name, q in QUANTILES.items():
        assert row[name] == pytest.approx(percentile(rtts, q) / 1000, rel=0.02)


class Province:
    """Five sites of two districts and two providers, measured every twenty minutes until `measured.now`."""

    def __init__(self, measured: MeasuredSites) -> None:
        self.measured = measured
        self.readings: list[Reading] = []
        self.sites: dict[str, int] = {}

    async def add_sites(self) -> None:
        for technology, changes in (
            ("fiber", {}),
            ("geo", {"provider": "iconplus"}),
            ("leo", {"village_code": "64.02.05.2001"}),
            ("cellular", {"village_code": "64.03.01.2001"}),
            ("radio", {"village_code": "64.03.01.2001", "provider": "iconplus"}),
        ):
            site = self.sites[technology] = await self.measured.add_site(technology, **changes)
            self.readings += self.measured.readings(site, technology, self.measured.since, 3 * 86, every_s=1200)

    def of(self, start: datetime, end: datetime, *technologies: str) -> list[Reading]:
        wanted = {self.sites[technology] for technology in technologies or self.sites}
        return [r for r in self.readings if r.key in wanted and start <= from_slot(r.slot) < end]

    async def ask(self, who: Person, path: str, start: datetime, end: datetime, **params: str) -> dict[str, Any]:
        answer = await who.get(path, params={"from": start.isoformat(), "to": end.isoformat(), **params})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def assert_matches(
        self, path: str, start: datetime, end: datetime, *technologies: str, **params: str
    ) -> None:
        for step in ("hour", "day", "month"):
            answer = await self.ask(self.measured.cast.sari, path, start, end, step=step, **params)
            assert (datetime.fromisoformat(answer["from"]), datetime.fromisoformat(answer["to"])) == (start, end)
            assert_matches(answer["total"], self.of(start, end, *technologies))
            for row in answer["series"]:
                part = datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])
                assert_matches(row, self.of(*part, *technologies))


@pytest.fixture
async def province(measured: MeasuredSites, monkeypatch: pytest.MonkeyPatch) -> Province:
    """Requests are made at `measured.now`."""
    monkeypatch.setattr("app.web.period_params.utc_now", lambda: measured.now)
    province = Province(measured)
    await province.add_sites()
    await measured.record(province.readings)
    return province


async def _all_live(measured: MeasuredSites) -> None:
    pass


async def _counted(measured: MeasuredSites) -> None:
    await measured.roll_up()


async def _half_counted(measured: MeasuredSites) -> None:
    await measured.roll_up(now=measured.since + 29 * HOUR + timedelta(minutes=5), sites_a_step=2)


@pytest.mark.parametrize("counting", [_all_live, _half_counted, _counted])
async def test_a_response_is_the_same_however_much_is_rolled_up(
    province: Province, counting: Callable[[MeasuredSites], Any]
) -> None:
    measured = province.measured
    await counting(measured)
    ragged = measured.since + timedelta(hours=5, minutes=17, seconds=1), measured.now
    site = province.sites["leo"]
    await province.assert_matches(f"/sites/{site}/latency", *ragged, "leo")
    await province.assert_matches("/regions/64/latency", *ragged)
    await province.assert_matches("/regions/64.02/latency", *ragged, "fiber", "geo", "leo")
    await province.assert_matches("/regions/64.02.05.2003/latency", *ragged, "fiber", "geo")
    await province.assert_matches("/regions/64/latency", *ragged, "geo", technology="geo")
    await province.assert_matches("/providers/iconplus/latency", *ragged, "geo", "radio")
    await province.assert_matches("/providers/iconplus/latency", *ragged, "radio", technology="radio", region="64.03")
    await province.assert_matches("/regions/64.03.01/latency", *ragged, "radio", provider="iconplus")


async def test_a_response_includes_late_readings_before_they_are_rolled_up(province: Province) -> None:
    measured, site = province.measured, province.sites["fiber"]
    await measured.roll_up()
    late = measured.readings(site, "fiber", measured.since + DAY + timedelta(hours=3, seconds=9), 200, every_s=30)
    province.readings += late
    await measured.record(late)
    span = measured.since, measured.now
    for _ in ("before", "after"):
        await province.assert_matches(f"/sites/{site}/latency", *span, "fiber")
        await province.assert_matches("/regions/64.02.05/latency", *span, "fiber", "geo", "leo")
        await province.assert_matches("/regions/64.02.05.2003/latency", *span, "fiber", "geo")
        await province.assert_matches("/regions/64.03/latency", *span, "cellular", "radio")
        await measured.roll_up()


async def test_whole_months_are_read_as_months(province: Province) -> None:
    measured = province.measured
    first = measured.since.astimezone(WITA).date().replace(day=1)
    last = (measured.since + 4 * DAY).astimezone(WITA).date().replace(day=1)
    following = (last + timedelta(days=31)).replace(day=1)
    await measured.roll_up(now=measured.since + 4 * DAY)
    await measured.skip_hours(midnight(following))
    await measured.roll_up()
    await measured.execute("DELETE FROM region_day")
    measured.now = midnight(following) + HOUR
    answer = await province.ask(
        measured.cast.sari, "/regions/64/latency", midnight(first), midnight(following), step="month"
    )
    assert_matches(answer["total"], province.readings)
    assert answer["sites"] == 5


async def test_days_are_cut_in_wita_and_a_part_without_readings_has_no_figures(province: Province) -> None:
    measured = province.measured
    await measured.roll_up()
    before = measured.since - DAY
    answer = await province.ask(measured.cast.sari, "/regions/64/latency", before, measured.now, step="day")
    assert [datetime.fromisoformat(row["start"]) for row in answer["series"]] == [before + n * DAY for n in range(5)]
    assert_matches(answer["series"][0], [])
    assert_matches(answer["series"][1], province.of(measured.since, measured.since + DAY))


async def test_sites_with_readings_are_counted(province: Province) -> None:
    measured = province.measured
    sari = measured.cast.sari
    for _ in ("live", "counted"):
        for path, params, sites in (
            ("/regions/64/latency", {}, 5),
            ("/regions/64.02/latency", {}, 3),
            ("/regions/64.74/latency", {}, 0),
            ("/providers/iconplus/latency", {}, 2),
            ("/regions/64/latency", {"technology": "geo"}, 1),
        ):
            assert (await province.ask(sari, path, measured.since, measured.now, **params))["sites"] == sites, path
        assert (await province.ask(sari, "/regions/64/latency", measured.since - DAY, measured.since))["sites"] == 0
        await measured.roll_up()


async def test_a_site_counts_for_the_provider_and_technology_that_it_had_that_day(province: Province) -> None:
    measured, site = province.measured, province.sites["fiber"]
    noon = measured.since + DAY + 12 * HOUR
    await measured.execute("UPDATE site_configuration SET ended_at = :noon WHERE site_id = :id", noon=noon, id=site)
    await measured.execute(
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT site_id, :noon, lifecycle, 'radio', (SELECT id FROM provider WHERE slug = 'iconplus'), "
        "addressed_at, village_code "
        "FROM site_configuration WHERE site_id = :id",
        noon=noon,
        id=site,
    )
    theirs = province.of(measured.since + DAY, measured.now, "fiber") + province.of(
        measured.since, measured.now, "radio"
    )
    sari = measured.cast.sari
    for _ in ("live", "counted"):
        path = "/providers/iconplus/latency"
        answer = await province.ask(sari, path, measured.since, measured.now, technology="radio")
        assert_matches(answer["total"], theirs)
        assert answer["sites"] == 2
        answer = await province.ask(sari, "/regions/64/latency", measured.since, measured.now, technology="fiber")
        assert_matches(answer["total"], province.of(measured.since, measured.since + DAY, "fiber"))
        await measured.roll_up()


async def test_nodes_count_for_themselves_alone(province: Province) -> None:
    measured = province.measured
    node = await measured.add_site("fiber", kind="node")
    await measured.record([measured.reading(node, measured.since, [1_000])])
    for _ in ("live", "counted"):
        own = await province.ask(measured.cast.sari, f"/sites/{node}/latency", measured.since, measured.now)
        assert own["total"]["samples"] == 1
        answer = await province.ask(measured.cast.sari, "/regions/64/latency", measured.since, measured.now)
        assert_matches(answer["total"], province.of(measured.since, measured.now))
        await measured.roll_up()


async def test_nobody_sees_beyond_their_scope(province: Province) -> None:
    measured = province.measured
    cast, span = measured.cast, (measured.since, measured.now)
    await measured.roll_up()
    assert_matches(
        (await province.ask(cast.ana, "/regions/64.02/latency", *span))["total"],
        province.of(*span, "fiber", "geo", "leo"),
    )
    for path in ("/regions/64/latency", "/regions/64.03/latency", "/providers/iconplus/latency?region=64.03"):
        assert (await cast.ana.get(path)).status_code == 403
    assert_matches(
        (await province.ask(cast.ana, "/providers/iconplus/latency", *span))["total"], province.of(*span, "geo")
    )
    assert_matches(
        (await province.ask(cast.ben, "/providers/iconplus/latency", *span))["total"], province.of(*span, "radio")
    )
    assert_matches(
        (await province.ask(cast.icon, "/regions/64/latency", *span))["total"], province.of(*span, "geo", "radio")
    )
    assert_matches((await province.ask(cast.icon, "/regions/64/latency", *span, technology="fiber"))["total"], [])
    assert (await cast.icon.get("/providers/telkom-wms/latency")).status_code == 404
    assert (await cast.icon.get("/regions/64/latency?provider=telkom-wms")).status_code == 422
    assert (await cast.stranger.get("/regions/64/latency")).status_code == 401


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


async def test_where_readings_are_gone_the_period_is_widened_to_whole_hours_and_says_so(province: Province) -> None:
    measured, site = province.measured, province.sites["geo"]
    await measured.roll_up()
    await measured.count_looks()
    async with transaction(measured.sessions) as session:
        while await partitions.drop_oldest(session, measured.now, keep_days=2):
            pass
    start, end = measured.since + timedelta(minutes=90), measured.since + 2 * DAY + timedelta(minutes=90)
    for path, params in ((f"/sites/{site}/latency", {}), ("/regions/64/latency", {"technology": "geo"})):
        body = await province.ask(measured.cast.sari, path, start, end, **params)
        assert datetime.fromisoformat(body["from"]) == measured.since + HOUR
        assert datetime.fromisoformat(body["to"]) == end
        assert_matches(body["total"], province.of(measured.since + HOUR, end, "geo"))


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

    async def summarize(rtts: list[int]) -> Any:
        rows = "(SELECT 1 AS n, 3 AS sent, ARRAY[rtt] AS rtt_us FROM unnest(cast(:rtts AS int[])) AS rtt)"
        async with transaction(measured.sessions) as session:
            stacked = histogram_sql.histograms_of_bucket_rows(histogram_sql.bucket_rows_of_readings(rows, "n"), "n")
            statement = text(f"SELECT {histogram_sql.SUMMARY} FROM ({stacked}) s")
            return (await session.execute(statement, {"rtts": rtts})).one()

    by_technology = {name: [rtt_us(name, measured.random) for _ in range(40_000)] for name in TECHNOLOGIES}
    for rtts in (*by_technology.values(), [rtt for some in by_technology.values() for rtt in some]):
        row, python = await summarize(rtts), Histogram.of(rtts)
        for name, q in QUANTILES.items():
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(percentile(rtts, q), rel=0.02)
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(python.quantile(q))


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
