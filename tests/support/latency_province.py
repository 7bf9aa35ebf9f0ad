"""Five sites measured for days, and the latency over the API that their readings must come to."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Any, Self

import pytest

from app.core.clock import from_slot
from probes.contract import Reading
from tests.conftest import Person
from tests.support.measured_sites import MeasuredSites, measured_since, percentile
from tests.support.shared_start import SharedStart

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

    def copy(self) -> Self:
        own = copy(self)
        own.measured, own.readings = self.measured.copy(), list(self.readings)
        return own

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


async def measure_province(start: SharedStart) -> Province:
    """For a fixture of scope "module"."""
    province = Province(await measured_since(start.sessions, start.cast, days=3))
    await province.add_sites()
    await province.measured.record(province.readings)
    return province
