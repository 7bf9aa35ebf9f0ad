"""What `make bench ARGS=scale` measures by: its registry, its sample, and how it matches packets with readings."""

from types import SimpleNamespace
from typing import Any

from sqlalchemy import text

from app.postgres.engine import open_engine, open_sessions, transaction
from app.worker.registry_refresh import SITES
from tests.benchmarks.scale import SAMPLE, SAMPLED, lateness, sample_mask
from tests.benchmarks.scale_registry import address, fill
from tests.conftest import drop_database, make_database

PARENTS = "SELECT count(*) FROM site s JOIN site p ON p.id = s.parent_id AND p.kind = 'node'"


async def test_every_site_of_the_registry_is_probed_by_the_worker(server_url: str, migrated_template: str) -> None:
    sites, url = 1_200, await make_database(server_url, migrated_template)
    await fill(url, sites)
    engine = open_engine(url, name="test")
    async with transaction(open_sessions(engine)) as session:
        rows = (await session.execute(SITES, {"seen": -1})).all()
        assert {row.id: row.host for row in rows} == {n: address(n) for n in range(1, sites + 1)}
        assert {row.technology for row in rows} == {"fiber", "cellular", "leo", "geo"}
        assert (await session.scalar(text(PARENTS)) or 0) > 50
    await engine.dispose()
    await drop_database(url, server_url)


def test_a_sample_has_some_hundred_sites_at_any_size() -> None:
    for sites in (1_038, 10_000, 100_000, 1_000_000):
        mask = sample_mask(sites)
        assert SAMPLED <= sum(n & mask == SAMPLE & mask for n in range(1, sites + 1)) < 2 * SAMPLED + 1


def test_lateness_is_from_the_stored_slot_to_the_first_packet() -> None:
    period = (1_000.0, 1_120.0)
    assert _lateness({1: [1_010, 1_070]}, {1: [1_010.25, 1_070.5]}, period) == ([0.25, 0.5], 0)


def test_a_reading_without_a_packet_and_a_packet_without_a_reading_are_told() -> None:
    period = (1_000.0, 1_120.0)
    assert _lateness({1: [1_010]}, {}, period) == ([], 1)
    assert _lateness({}, {1: [1_010.0]}, period) == ([], 1)


def test_what_the_period_cuts_off_is_no_loss() -> None:
    period = (1_000.0, 1_120.0)
    assert _lateness({1: [1_119]}, {1: [1_000.5, 1_120.5]}, period) == ([], 0)


def _lateness(
    slots: dict[int, list[int]], packets: dict[int, list[float]], period: tuple[float, float]
) -> tuple[list[float], int]:
    rows = [{"site_id": site, "slot": slot} for site, found in slots.items() for slot in found]
    running: Any = SimpleNamespace(query=lambda *_: rows)
    times: Any = SimpleNamespace(looks={address(site): found for site, found in packets.items()})
    return lateness(running, times, 0, period, 1)
