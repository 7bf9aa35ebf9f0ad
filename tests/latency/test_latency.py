"""What is answered: the same whatever it is put together from, for a site, a region, a provider, a technology."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.clock import WITA, from_slot, midnight
from app.latency import histogram_sql
from app.latency.histogram import Histogram
from app.measurements import partitions
from app.postgres.engine import transaction
from probes.contract import Outcome, Reading
from tests.conftest import Person
from tests.support.measured_sites import TECHNOLOGIES, Living, percentile, rtt_us

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def holds(row: dict[str, Any], readings: Sequence[Reading]) -> None:
    """A row against its single readings: percentiles within 2%, everything else exact."""
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
    """Five sites of two districts and two providers, read every twenty minutes; counted up to `living.now`."""

    def __init__(self, living: Living) -> None:
        self.living = living
        self.readings: list[Reading] = []
        self.sites: dict[str, int] = {}

    async def found(self) -> None:
        for technology, changes in (
            ("fiber", {}),
            ("geo", {"provider": "iconplus"}),
            ("leo", {"village_code": "64.02.05.2001"}),
            ("cellular", {"village_code": "64.03.01.2001"}),
            ("radio", {"village_code": "64.03.01.2001", "provider": "iconplus"}),
        ):
            site = self.sites[technology] = await self.living.site(technology, **changes)
            self.readings += self.living.readings(site, technology, self.living.since, 3 * 86, every_s=1200)

    def of(self, start: datetime, end: datetime, *technologies: str) -> list[Reading]:
        wanted = {self.sites[technology] for technology in technologies or self.sites}
        return [r for r in self.readings if r.key in wanted and start <= from_slot(r.slot) < end]

    async def ask(self, who: Person, path: str, start: datetime, end: datetime, **params: str) -> dict[str, Any]:
        answer = await who.get(path, params={"from": start.isoformat(), "to": end.isoformat(), **params})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def holds(self, path: str, start: datetime, end: datetime, *technologies: str, **params: str) -> None:
        for step in ("hour", "day", "month"):
            answer = await self.ask(self.living.cast.sari, path, start, end, step=step, **params)
            assert (datetime.fromisoformat(answer["from"]), datetime.fromisoformat(answer["to"])) == (start, end)
            holds(answer["total"], self.of(start, end, *technologies))
            for row in answer["series"]:
                part = datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])
                holds(row, self.of(*part, *technologies))


@pytest.fixture
async def province(living: Living, monkeypatch: pytest.MonkeyPatch) -> Province:
    """It is `living.now` for those who ask."""
    monkeypatch.setattr("app.web.period_params.utc_now", lambda: living.now)
    province = Province(living)
    await province.found()
    await living.record(province.readings)
    return province


async def _all_live(living: Living) -> None:
    pass


async def _counted(living: Living) -> None:
    await living.count()


async def _half_counted(living: Living) -> None:
    await living.count(now=living.since + 29 * HOUR + timedelta(minutes=5), sites_a_step=2)


@pytest.mark.parametrize("counting", [_all_live, _half_counted, _counted])
async def test_an_answer_is_the_same_whatever_is_counted_of_it(
    province: Province, counting: Callable[[Living], Any]
) -> None:
    living = province.living
    await counting(living)
    ragged = living.since + timedelta(hours=5, minutes=17, seconds=1), living.now
    site = province.sites["leo"]
    await province.holds(f"/sites/{site}/latency", *ragged, "leo")
    await province.holds("/regions/64/latency", *ragged)
    await province.holds("/regions/64.02/latency", *ragged, "fiber", "geo", "leo")
    await province.holds("/regions/64.02.05.2003/latency", *ragged, "fiber", "geo")
    await province.holds("/regions/64/latency", *ragged, "geo", technology="geo")
    await province.holds("/providers/iconplus/latency", *ragged, "geo", "radio")
    await province.holds("/providers/iconplus/latency", *ragged, "radio", technology="radio", region="64.03")
    await province.holds("/regions/64.03.01/latency", *ragged, "radio", provider="iconplus")


async def test_an_answer_is_not_stale_while_late_readings_wait_to_be_counted(province: Province) -> None:
    living, site = province.living, province.sites["fiber"]
    await living.count()
    late = living.readings(site, "fiber", living.since + DAY + timedelta(hours=3, seconds=9), 200, every_s=30)
    province.readings += late
    await living.record(late)
    span = living.since, living.now
    for _ in ("before", "after"):
        await province.holds(f"/sites/{site}/latency", *span, "fiber")
        await province.holds("/regions/64.02.05/latency", *span, "fiber", "geo", "leo")
        await province.holds("/regions/64.02.05.2003/latency", *span, "fiber", "geo")
        await province.holds("/regions/64.03/latency", *span, "cellular", "radio")
        await living.count()


async def test_whole_months_are_read_as_months(province: Province) -> None:
    living = province.living
    first = living.since.astimezone(WITA).date().replace(day=1)
    last = (living.since + 4 * DAY).astimezone(WITA).date().replace(day=1)
    following = (last + timedelta(days=31)).replace(day=1)
    await living.count(now=living.since + 4 * DAY)
    await living.pass_over(midnight(following))
    await living.count()
    await living.execute("DELETE FROM region_day")
    living.now = midnight(following) + HOUR
    answer = await province.ask(
        living.cast.sari, "/regions/64/latency", midnight(first), midnight(following), step="month"
    )
    holds(answer["total"], province.readings)
    assert answer["sites"] == 5


async def test_days_are_cut_in_wita_and_a_part_without_readings_has_no_figures(province: Province) -> None:
    living = province.living
    await living.count()
    before = living.since - DAY
    answer = await province.ask(living.cast.sari, "/regions/64/latency", before, living.now, step="day")
    assert [datetime.fromisoformat(row["start"]) for row in answer["series"]] == [before + n * DAY for n in range(5)]
    holds(answer["series"][0], [])
    holds(answer["series"][1], province.of(living.since, living.since + DAY))


async def test_how_many_sites_there_were_readings_of(province: Province) -> None:
    living = province.living
    sari = living.cast.sari
    for _ in ("live", "counted"):
        for path, params, sites in (
            ("/regions/64/latency", {}, 5),
            ("/regions/64.02/latency", {}, 3),
            ("/regions/64.74/latency", {}, 0),
            ("/providers/iconplus/latency", {}, 2),
            ("/regions/64/latency", {"technology": "geo"}, 1),
        ):
            assert (await province.ask(sari, path, living.since, living.now, **params))["sites"] == sites, path
        assert (await province.ask(sari, "/regions/64/latency", living.since - DAY, living.since))["sites"] == 0
        await living.count()


async def test_a_site_counts_for_the_provider_and_technology_that_it_had_that_day(province: Province) -> None:
    living, site = province.living, province.sites["fiber"]
    noon = living.since + DAY + 12 * HOUR
    await living.execute("UPDATE site_configuration SET ended_at = :noon WHERE site_id = :id", noon=noon, id=site)
    await living.execute(
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT site_id, :noon, lifecycle, 'radio', (SELECT id FROM provider WHERE slug = 'iconplus'), "
        "addressed_at, village_code "
        "FROM site_configuration WHERE site_id = :id",
        noon=noon,
        id=site,
    )
    theirs = province.of(living.since + DAY, living.now, "fiber") + province.of(living.since, living.now, "radio")
    sari = living.cast.sari
    for _ in ("live", "counted"):
        path = "/providers/iconplus/latency"
        answer = await province.ask(sari, path, living.since, living.now, technology="radio")
        holds(answer["total"], theirs)
        assert answer["sites"] == 2
        answer = await province.ask(sari, "/regions/64/latency", living.since, living.now, technology="fiber")
        holds(answer["total"], province.of(living.since, living.since + DAY, "fiber"))
        await living.count()


async def test_nodes_are_nobodys_latency_but_their_own(province: Province) -> None:
    living = province.living
    node = await living.site("fiber", kind="node")
    await living.record([living.reading(node, living.since, [1_000])])
    for _ in ("live", "counted"):
        own = await province.ask(living.cast.sari, f"/sites/{node}/latency", living.since, living.now)
        assert own["total"]["samples"] == 1
        answer = await province.ask(living.cast.sari, "/regions/64/latency", living.since, living.now)
        holds(answer["total"], province.of(living.since, living.now))
        await living.count()


async def test_nobody_sees_beyond_their_scope(province: Province) -> None:
    living = province.living
    cast, span = living.cast, (living.since, living.now)
    await living.count()
    holds(
        (await province.ask(cast.ana, "/regions/64.02/latency", *span))["total"],
        province.of(*span, "fiber", "geo", "leo"),
    )
    for path in ("/regions/64/latency", "/regions/64.03/latency", "/providers/iconplus/latency?region=64.03"):
        assert (await cast.ana.get(path)).status_code == 403
    holds((await province.ask(cast.ana, "/providers/iconplus/latency", *span))["total"], province.of(*span, "geo"))
    holds((await province.ask(cast.ben, "/providers/iconplus/latency", *span))["total"], province.of(*span, "radio"))
    holds((await province.ask(cast.icon, "/regions/64/latency", *span))["total"], province.of(*span, "geo", "radio"))
    holds((await province.ask(cast.icon, "/regions/64/latency", *span, technology="fiber"))["total"], [])
    assert (await cast.icon.get("/providers/telkom-wms/latency")).status_code == 404
    assert (await cast.icon.get("/regions/64/latency?provider=telkom-wms")).status_code == 422
    assert (await cast.stranger.get("/regions/64/latency")).status_code == 401


async def test_what_does_not_exist_is_said_so(living: Living) -> None:
    sari = living.cast.sari
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
    living, site = province.living, province.sites["geo"]
    await living.count()
    async with transaction(living.sessions) as session:
        while await partitions.drop_oldest(session, living.now, keep_days=2):
            pass
    start, end = living.since + timedelta(minutes=90), living.since + 2 * DAY + timedelta(minutes=90)
    for path, params in ((f"/sites/{site}/latency", {}), ("/regions/64/latency", {"technology": "geo"})):
        found = await province.ask(living.cast.sari, path, start, end, **params)
        assert datetime.fromisoformat(found["from"]) == living.since + HOUR
        assert datetime.fromisoformat(found["to"]) == end
        holds(found["total"], province.of(living.since + HOUR, end, "geo"))


async def test_faults_and_losses_never_enter_latency(living: Living) -> None:
    site = await living.site()
    at = living.since + timedelta(minutes=3)
    mixed = [
        living.reading(site, at, [20_000]),
        living.reading(site, at + timedelta(minutes=1), None),
        living.reading(site, at + timedelta(minutes=2), None, outcome=Outcome.FAULT),
        living.reading(site, at + 2 * HOUR, None),
    ]
    await living.record(mixed)
    for _ in ("live", "counted"):
        params = {"from": living.since.isoformat(), "to": (living.since + 3 * HOUR).isoformat(), "step": "hour"}
        answer = (await living.cast.sari.get(f"/sites/{site}/latency", params=params)).json()
        holds(answer["total"], mixed)
        assert [(row["samples"], row["loss_pct"]) for row in answer["series"]] == [
            (1, 83.333),
            (0, None),
            (0, 100.0),
        ]
        await living.count()


async def test_the_percentiles_of_all_technologies_are_within_2_percent(living: Living) -> None:
    """200,000 packets; a million in `make bench`. The whole's is that of all packets, never a mean of means."""

    async def shown(rtts: list[int]) -> Any:
        rows = "(SELECT 1 AS n, 3 AS sent, ARRAY[rtt] AS rtt_us FROM unnest(cast(:rtts AS int[])) AS rtt)"
        async with transaction(living.sessions) as session:
            stacked = histogram_sql.histograms_of_bucket_rows(histogram_sql.bucket_rows_of_readings(rows, "n"), "n")
            statement = text(f"SELECT {histogram_sql.SUMMARY} FROM ({stacked}) s")
            return (await session.execute(statement, {"rtts": rtts})).one()

    found = {name: [rtt_us(name, living.chance) for _ in range(40_000)] for name in TECHNOLOGIES}
    for rtts in (*found.values(), [rtt for some in found.values() for rtt in some]):
        row, twin = await shown(rtts), Histogram.of(rtts)
        for name, q in QUANTILES.items():
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(percentile(rtts, q), rel=0.02)
            assert getattr(row, name.removesuffix("_ms")) == pytest.approx(twin.quantile(q))
