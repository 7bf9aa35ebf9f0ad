"""A change of today leaves every figure of the past as it was, whatever field of a site it changes (docs/adr/0018)."""

from collections.abc import AsyncIterator, Iterator
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.routing import BaseRoute

from app.availability import monthly_close
from app.availability.daily_rollup import count_days
from app.core.clock import WITA, midnight, to_slot, utc_now
from app.judging.dirty_range import DirtyRange
from app.judging.propagation import rejudge_with_children
from app.postgres.engine import Sessions, transaction
from app.registry.schemas import SitePatch
from app.worker import writer as worker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.delivering_probers import make_vantage
from tests.support.measured_sites import MeasuredSites
from tests.support.shared_start import savepoint, shared_start
from tests.support.uptime import get, when_yesterday_is_counted

# For each field of SitePatch what a PATCH of it sends: a field that is added there needs a case here.
CASES: dict[str, dict[str, Any]] = {
    "kind": {"kind": "node", "parent_id": None, "contract_id": None},
    "village_code": {"village_code": BERAU_VILLAGE},
    "name": {"name": "Balai Desa"},
    "host": {"host": "198.51.100.77"},
    "host_static": {"host": "desa.example.id", "host_static": False},
    "technology": {"technology": "radio"},
    "provider": {"provider": "iconplus", "contract_id": None},
    "service_no": {"service_no": "4700"},
    "link_role": {"link_role": "backup"},
    "venue": {"venue": "sekolah"},
    "location_note": {"location_note": "belakang balai"},
    "latitude": {"latitude": -0.36, "longitude": 117.44},
    "longitude": {"latitude": -0.37, "longitude": 117.45},
    "ssid": {"ssid": "desa"},
    "public_hours": {"public_hours": "08-16"},
    "presence": {"presence": "sometimes", "probe": "push", "host": None},
    "vantages": {"vantages": [1, 0]},
    "power_source": {"power_source": "solar"},
    "power_hours": {"power_hours": "18-06"},
    "bandwidth_down_mbps": {"bandwidth_down_mbps": 5},
    "bandwidth_up_mbps": {"bandwidth_up_mbps": 2},
    "probe": {"probe": "push", "host": None},
    "port": {"probe": "tcp", "port": 8080},
    "url": {"probe": "http", "url": "https://desa.example.id/"},
    "speed_url": {"speed_url": "http://198.51.100.9/besar"},
    "speed_budget_mb": {"speed_budget_mb": 0},
    "parent_id": {"parent_id": None},
    "contract_id": {"contract_id": None},
    "device_model": {"device_model": "hAP"},
    "contact_name": {"contact_name": "Budi"},
    "contact_phone": {"contact_phone": "0812"},
    "notes": {"notes": "catatan"},
    "lifecycle": {"lifecycle": "suspended"},
}
ALONE = [
    "kind",
    "village_code",
    "technology",
    "provider",
    "parent_id",
    "contract_id",
    "probe",
    "presence",
    "vantages",
    "lifecycle",
]
LABELS = {"name", "code"}


def test_every_field_that_a_patch_takes_has_a_case() -> None:
    assert set(SitePatch.model_fields) == set(CASES)
    assert all(field in case for field, case in CASES.items())


Figures = dict[str, Any]
Written = tuple[AsyncConnection, "Past", Figures]


@pytest.fixture(scope="module")
async def written(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[Written]:
    """The past, written once, and its figures."""
    async with shared_start(engine, routes) as start:
        measured = MeasuredSites(start.sessions, start.cast)
        await measured.reset_watermarks()
        past = Past(measured, start.cast)
        await past.write()
        yield start.connection, past, await past.figures()


@pytest.fixture
async def connection(written: Written) -> AsyncIterator[AsyncConnection]:
    async with savepoint(written[0]) as connection:
        yield connection


@pytest.fixture
def past(written: Written, sessions: Sessions, cast: Cast) -> "Past":
    past, measured = copy(written[1]), copy(written[1].measured)  # of the same days, also after midnight
    measured.sessions, measured.cast = sessions, cast
    past.measured, past.cast = measured, cast
    return past


class Past:
    """A site on a tower with three settled days of readings, a settled month of speed tests, works and a contract."""

    def __init__(self, measured: MeasuredSites, cast: Cast) -> None:
        self.measured, self.cast = measured, cast
        self.start, self.end = measured.since, measured.since + timedelta(days=3)
        self.month = (midnight(self.start.astimezone(WITA).date().replace(day=1)) - timedelta(days=1)).astimezone(WITA)

    async def write(self) -> None:
        await make_vantage(self.cast)
        contract = {"number": "K-1", "provider": "telkom-wms", "valid_from": "2020-01-01", "sla_target_pct": 97}
        contract_id = (await self.cast.sari.post("/contracts", contract)).json()["id"]
        tower = await self.measured.add_site(kind="node")
        await self.measured.add_site(technology="geo", probe="push", host_static=True)
        self.site = await self.measured.add_site(
            parent_id=tower, contract_id=contract_id, speed_url="http://198.51.100.9/", speed_budget_mb=500
        )
        await self.measured.execute(
            "UPDATE site_contract SET started_on = '2020-01-01' WHERE site_id = :id", id=self.site
        )
        await self._read(tower, out=(70, 80))
        await self._read(self.site, out=(72, 95), slow=(100, 140))
        for scope in ({"region": "64.02"}, {"provider": "telkom-wms", "region": "64.02"}):
            hours = 2 if "provider" in scope else 4
            start = self.start + timedelta(days=1, hours=hours)
            window = {"started_at": start.isoformat(), "ended_at": (start + timedelta(hours=1)).isoformat()}
            answer = await self.cast.sari.post("/maintenance", {"title": "works", "reason": "late", **window, **scope})
            assert answer.status_code == 201, answer.text
        await self._test_speed()
        await self.settle()

    async def _read(self, site: int, *, out: tuple[int, int], slow: tuple[int, int] = (0, 0)) -> None:
        """Write readings of the first day, one a minute: lost, or slow, in these minutes of it."""
        readings = []
        for minute in range(240):
            lost, rtt_us = out[0] <= minute < out[1], 300_000 if slow[0] <= minute < slow[1] else 20_000
            slot = to_slot(self.start) + 60 * minute
            outcome = Outcome.TIMEOUT if lost else Outcome.OK
            readings.append(Reading(site, slot, outcome, 3, () if lost else (rtt_us,) * 3, 60))
        async with transaction(self.measured.sessions) as session:
            at = await session.scalar(text("SELECT addressed_at FROM site WHERE id = :id"), {"id": site})
            await worker.write_batch(session, [(reading, at) for reading in readings], [])

    async def _test_speed(self) -> None:
        await self.measured.execute(
            "INSERT INTO throughput_test (site_id, planned_at, month, mode, status, technology, provider_id, "
            "parent_id, village_code, contract_down_mbps, allowed_down_bytes, allowed_up_bytes, max_s, reserved_bytes, "
            "waits_until, down_bytes, up_bytes, down_mbps) SELECT id, :at, cast(:month AS date), 'pull', 'done', "
            "technology, provider_id, parent_id, village_code, 50, 1000, 0, 10, 0, :at, 1000, 0, 40 "
            "FROM site WHERE id = :id",
            id=self.site,
            at=self.month,
            month=self.month.date().replace(day=1),
        )
        await self.measured.execute(
            "INSERT INTO push_traffic (site_id, month, requests, bytes) VALUES (:id, :month, 10, 60000000)",
            id=self.site,
            month=self.month.date().replace(day=1),
        )

    async def settle(self) -> None:
        async with transaction(self.measured.sessions) as session:
            await count_days(session, when_yesterday_is_counted(), days=400)
        await self.measured.roll_up()
        async with transaction(self.measured.sessions) as session:
            while await monthly_close.close_months(session, utc_now()):
                pass

    async def judge_and_count_again(self) -> None:
        async with transaction(self.measured.sessions) as session:
            await rejudge_with_children(session, [DirtyRange(self.site, self.start, self.end)])
            for statement in (
                "INSERT INTO stale_day SELECT s.id, d.day FROM site s, counted_day d ON CONFLICT DO NOTHING",
                "INSERT INTO stale_hour SELECT site_id, hour FROM rollup_hour ON CONFLICT DO NOTHING",
                "INSERT INTO stale_month SELECT site_id, month, 'again' FROM closed_month ON CONFLICT DO NOTHING",
            ):
                await session.execute(text(statement))

    async def figures(self) -> Figures:
        """Return every figure of the past, without the labels that answers show beside them."""
        days = {"from": self.start, "to": self.end}
        month = {"period": f"{self.month:%Y-%m}"}
        figures: Figures = {}
        for path in self._paths():
            for name in ("uptime", "latency"):
                figures[f"{path}/{name}"] = await get(self.cast.sari, f"{path}/{name}", step="day", **days)
            figures[f"{path}/throughput"] = await get(self.cast.sari, f"{path}/throughput", **month)
        figures["month"] = await get(self.cast.sari, f"/sites/{self.site}/uptime", step="month", **month)
        figures["segments"] = await get(self.cast.sari, f"/sites/{self.site}/segments", **days)
        for by in ("site", "region", "provider"):
            figures[f"by {by}"] = await get(self.cast.sari, "/ranking", by=by, min_coverage_pct=0, **days)
        async with transaction(self.measured.sessions) as session:
            figures["corrections"] = await session.scalar(text("SELECT count(*) FROM month_correction"))
        return _without_labels(figures)  # type: ignore[no-any-return]

    def _paths(self) -> Iterator[str]:
        yield f"/sites/{self.site}"
        yield from (f"/regions/{code}" for code in ("64", "64.02", "64.03", "64.02.05.2003"))
        yield from (f"/providers/{slug}" for slug in ("telkom-wms", "iconplus"))


def _without_labels(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_labels(inner) for name, inner in value.items() if name not in LABELS}
    return [_without_labels(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "fields",
    [*((field,) for field in ALONE), tuple(field for field in CASES if field not in ALONE)],
    ids=lambda fields: fields[0] if len(fields) == 1 else "all_others",
)
async def test_no_figure_of_the_past_moves_by_a_change_of_today(
    past: Past, written: Written, fields: tuple[str, ...]
) -> None:
    before = written[2]
    assert before["/regions/64.02/uptime"]["total"]["seconds"]["down"] > 0
    change = {name: value for field in sorted(fields) for name, value in CASES[field].items()}
    answer = await past.cast.sari.patch(f"/sites/{past.site}", change)
    assert answer.status_code == 200, answer.text
    assert await past.figures() == before
    await past.judge_and_count_again()
    assert await past.figures() == before, "computed live"
    await past.settle()
    assert await past.figures() == before, "counted again"
