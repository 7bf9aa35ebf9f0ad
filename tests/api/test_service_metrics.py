"""Metrics for Prometheus: of the service itself, and of every site within a token's scope."""

import subprocess
import time
from datetime import timedelta
from unittest.mock import Mock

import httpx
import orjson
import pytest
from fastapi import FastAPI
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.core.clock import utc_now
from app.postgres.engine import open_engine, open_sessions
from app.status import site_metrics
from app.worker import writer as worker
from app.worker.counters import WorkerCounters
from tests.conftest import Cast, Person
from tests.factories import register
from tests.support.alerts import AlertDesk
from tests.support.probers import hear, name_vantage, register_prober
from tests.support.prometheus_server import program
from tests.support.status import beat, judge, publish

STATES = {"up", "degraded", "down", "unreachable", "unknown"}


async def scraped(person: Person, path: str = "/metrics") -> dict[str, Metric]:
    answer = await person.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def values(family: Metric, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in family.samples}


def value(found: dict[str, Metric], name: str) -> float:
    (sample,) = found[name].samples
    return float(sample.value)


async def test_it_counts_sites_by_kind_and_state(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await register(cast, host="198.51.100.21")
    await register(cast, host="198.51.100.22", kind="node")
    await judge(session, made["id"], "up")
    await publish(app)
    samples = (await scraped(cast.stranger))["sinyal_sites_by_state"].samples
    counts = {(sample.labels["kind"], sample.labels["state"]): sample.value for sample in samples}
    assert counts.keys() == {(kind, state) for kind in ("access_point", "node") for state in STATES}
    assert {key: count for key, count in counts.items() if count} == {
        ("access_point", "up"): 1,
        ("access_point", "unknown"): 1,
        ("node", "unknown"): 1,
    }


async def test_what_sites_reported_and_nobody_has_taken_in_is_counted(cast: Cast, session: AsyncSession) -> None:
    found = await scraped(cast.stranger)
    assert [value(found, f"sinyal_inbox_{name}") for name in ("waiting", "age_seconds", "refused")] == [0, 0, 0]
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO push_inbox (received_at, rows, refused_at) VALUES "
                "(now() - interval '9 min', '[]', now()), "
                "(now() - interval '5 min', '[]', NULL), (now() - interval '1 min', '[]', NULL)"
            )
        )
        await session.execute(
            text(
                "INSERT INTO prober_inbox (vantage, shard, received_at, readings, block, refused_at) VALUES "
                "(0, 0, now() - interval '9 min', 1, '', now()), (0, 3, now() - interval '4 min', 1, '', NULL)"
            )
        )
    found = await scraped(cast.stranger)
    assert value(found, "sinyal_inbox_blocks_age_seconds") == 240
    assert [value(found, f"sinyal_inbox_{name}") for name in ("waiting", "refused")] == [2, 1]
    assert value(found, "sinyal_inbox_age_seconds") == 300


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("203.0.113.9", 401), ("nonsense", 401)],
)
async def test_what_tells_when_nobody_hears_is_for_this_machine_and_for_callers(
    address: str, status: int, app: FastAPI, cast: Cast
) -> None:
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as elsewhere:
        assert (await elsewhere.get("/metrics")).status_code == status
        token = {"Authorization": cast.vera.client.headers["authorization"]}
        assert (await elsewhere.get("/metrics", headers=token)).status_code == 200


async def test_it_counts_the_streams_that_are_open(app: FastAPI, cast: Cast) -> None:
    ana, ben = (Caller(number, name, Role.VIEWER, "64") for number, name in enumerate(("ana", "ben")))
    with app.state.streams.counted(ana), app.state.streams.counted(ben):
        assert value(await scraped(cast.stranger), "sinyal_status_streams") == 2
    assert value(await scraped(cast.stranger), "sinyal_status_streams") == 0


async def test_it_counts_requests_by_route_and_knows_those_under_way(app: FastAPI, cast: Cast) -> None:
    await register(cast)
    await cast.sari.get("/sites/0")
    await cast.sari.get("/sites/1999999")
    await cast.stranger.get("/nothing")
    found = await scraped(cast.stranger)
    asked = {tuple(sample.labels.values()): sample.value for sample in found["sinyal_http_requests"].samples}
    assert asked["GET", "/sites/{id}", "404"] == 2
    assert asked["GET", "none", "404"] == 1
    assert value(found, "sinyal_http_requests_in_flight") == 1, "this scrape"
    timed = {sample.labels["route"] for sample in found["sinyal_http_request_seconds"].samples}
    assert {"/sites", "/sites/{id}", "none"} <= timed


async def test_it_tells_how_the_worker_fares(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    figures = WorkerCounters(rounds=7, buffered_readings=3, canaries={"127.255.0.1": 1, "127.255.0.2": 0})
    async with session.begin():
        at = utc_now() - timedelta(seconds=9)
        await worker.write_beat(session, now=at, started_at=at, blind_since=at, figures=figures.as_dict())
    found = await scraped(cast.stranger)
    assert value(found, "sinyal_worker_rounds") == 7
    assert value(found, "sinyal_worker_buffered_readings") == 3
    assert values(found["sinyal_worker_canary_up"], "canary") == {"127.255.0.1": 1, "127.255.0.2": 0}
    assert value(found, "sinyal_worker_blind") == 1
    assert 9 <= value(found, "sinyal_worker_beat_age_seconds") < 15


async def test_it_tells_what_waits_for_delivery_and_which_channels_fail(
    cast: Cast, session: AsyncSession, desk: AlertDesk
) -> None:
    fine, failing = await desk.channel(), await desk.channel(failures=5)
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO notification "
                "(key, channel_id, region_code, kind, content, title, text, state, created_at) "
                "SELECT gen_random_uuid(), :channel, '64.02', 'onset', '{}', '', '', state, now() - ago "
                "FROM (VALUES ('queued', interval '5 min'), ('queued', interval '30 h'), "
                "('accepted', interval '1 h'), ('accepted', interval '30 h')) told (state, ago)"
            ),
            {"channel": failing},
        )
        await session.execute(text("INSERT INTO courier_beat VALUES (1, now() - interval '9 s', now())"))
    found = await scraped(cast.stranger)
    told = values(found["sinyal_notifications"], "state")
    assert {state: count for state, count in told.items() if count} == {"queued": 2, "accepted": 1}
    assert set(told) == {"queued", "accepted", "bounced", "dead", "rerouted"}
    assert value(found, "sinyal_notification_oldest_seconds") == 30 * 3600
    assert values(found["sinyal_channel_failing"], "channel") == {str(fine): 0, str(failing): 1}
    assert value(found, "sinyal_channels_failing") == 1
    assert 9 <= value(found, "sinyal_courier_beat_age_seconds") < 15


async def test_it_tells_how_far_counting_is_behind(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    async with session.begin():
        await session.execute(
            text(
                "UPDATE rollup_watermark SET upto = date_trunc('hour', now(), 'UTC') - interval '3 hours' "
                "WHERE stage = 'hours'"
            )
        )
        await session.execute(
            text("UPDATE rollup_watermark SET upto = date_trunc('day', now(), 'Asia/Makassar') WHERE stage = 'days'")
        )
        await session.execute(
            text(
                "INSERT INTO counted_day (day, counted_at) "
                "SELECT (now() AT TIME ZONE 'Asia/Makassar')::date - 2, now() ON CONFLICT DO NOTHING"
            )
        )
    lags = values((await scraped(cast.stranger))["sinyal_rollup_lag_seconds"], "stage")
    assert lags == {"hours": 3 * 3600, "days": 0, "availability": 86400}


async def test_it_answers_while_the_database_is_away(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await register(cast)
    await beat(session, age_s=20)
    await publish(app)
    assert value(await scraped(cast.stranger), "sinyal_database_up") == 1
    app.state.engine = open_engine("postgresql+asyncpg://nobody@127.0.0.1:9/nothing", name="away")
    app.state.sessions = open_sessions(app.state.engine)
    found = await scraped(cast.stranger)
    assert value(found, "sinyal_database_up") == 0
    assert value(found, "sinyal_worker_beat_age_seconds") >= 20, "it goes on growing"
    assert "sinyal_worker_rounds" not in found
    assert value(found, "sinyal_database_connections_in_use") == 0
    assert value(found, "sinyal_status_versions") >= 1
    assert value(found, "process_resident_memory_bytes") > 1e6


async def test_every_site_shows_its_state_and_figures(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast, technology="leo")
    await judge(session, made["id"], "up", rtt_us=41_500)
    await beat(session, age_s=2)
    await publish(app)
    found = await scraped(cast.vera, "/metrics/sites")
    labels = {
        "site": made["code"],
        "region": "64.02.05.2003",
        "district": "64.02",
        "technology": "leo",
        "provider": "telkom-wms",
        "kind": "access_point",
    }
    assert values(found["sinyal_site_state"], "state") == {state: float(state == "up") for state in STATES}
    for name, shown in (("rtt_seconds", 0.0415), ("loss_ratio", 0), ("maintenance", 0)):
        (sample,) = found[f"sinyal_site_{name}"].samples
        assert sample.labels == labels
        assert sample.value == pytest.approx(shown)
    assert time.time() - value(found, "sinyal_site_last_seen_timestamp_seconds") < 10
    assert 2 <= value(found, "sinyal_status_data_age_seconds") < 10


async def test_what_is_not_known_of_a_site_has_no_figure(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    never, aged = await register(cast), await register(cast, host="198.51.100.21")
    await judge(session, aged["id"], "up", age_s=151)
    await publish(app)
    found = await scraped(cast.vera, "/metrics/sites")
    states = {
        sample.labels["site"]: sample.labels["state"] for sample in found["sinyal_site_state"].samples if sample.value
    }
    assert states == {never["code"]: "unknown", aged["code"]: "unknown"}
    assert found["sinyal_site_rtt_seconds"].samples == found["sinyal_site_loss_ratio"].samples == []
    assert set(values(found["sinyal_site_last_seen_timestamp_seconds"], "site")) == {aged["code"]}


async def test_a_token_shows_the_sites_of_its_scope_alone(app: FastAPI, cast: Cast) -> None:
    here = await register(cast)
    there = await register(cast, village_code="64.03.01.2001", host="198.51.100.9", provider="iconplus")
    await publish(app)
    for person, codes in (
        (cast.sari, {here["code"], there["code"]}),
        (cast.ana, {here["code"]}),
        (cast.ben, {there["code"]}),
        (cast.icon, {there["code"]}),
    ):
        assert set(values((await scraped(person, "/metrics/sites"))["sinyal_site_maintenance"], "site")) == codes
    assert (await cast.stranger.client.get("/metrics/sites")).status_code == 401
    assert (await cast.vera.client.get("/metrics/sites?region=64.02")).status_code == 422, "nothing is silently ignored"


async def test_the_same_version_is_written_once_and_travels_compressed(
    app: FastAPI, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(cast)
    await publish(app)
    writing = Mock(side_effect=site_metrics.exposition)
    monkeypatch.setattr(site_metrics, "exposition", writing)
    zipped = await cast.vera.client.get("/metrics/sites", headers={"Accept-Encoding": "gzip"})
    whole = await cast.vera.client.get("/metrics/sites", headers={"Accept-Encoding": "identity"})
    again = await cast.sari.client.get("/metrics/sites", headers={"If-None-Match": zipped.headers["etag"]})
    assert (zipped.headers["content-encoding"], zipped.content) == ("gzip", whole.content)
    assert (again.status_code, writing.call_count) == (304, 1)


def test_label_values_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    row = {
        "code": odd,
        "name": odd,
        "village_code": "64.02.05.2003",
        "technology": "fiber",
        "provider": "x",
        "kind": "node",
        "state": "up",
        "rtt_ms": None,
        "loss_pct": None,
        "last_seen_at": None,
        "maintenance": True,
    }
    exposed = site_metrics.exposition([orjson.dumps(row)], None, provider_names={"x": odd}).decode()
    samples = [sample for family in text_string_to_metric_families(exposed) for sample in family.samples]
    assert {sample.labels["site"] for sample in samples} == {odd}
    (info,) = [sample for sample in samples if sample.name == "sinyal_site_info"]
    assert (info.labels["name"], info.labels["provider_name"]) == (odd, odd)


async def test_names_stand_beside_the_codes_and_a_new_name_ends_no_other_series(app: FastAPI, cast: Cast) -> None:
    made = await register(cast, name="Kantor Desa Muara Badak Ulu")
    await publish(app)
    before = await scraped(cast.vera, "/metrics/sites")
    (info,) = before["sinyal_site_info"].samples
    assert info.value == 1
    assert info.labels == {
        **before["sinyal_site_maintenance"].samples[0].labels,
        "name": "Kantor Desa Muara Badak Ulu",
        "village": "Muara Badak Ulu",
        "subdistrict": "Muara Badak",
        "district_name": "Kabupaten Kutai Kartanegara",
        "provider_name": "Telkom WMS",
    }
    await cast.sari.patch(f"/sites/{made['id']}", {"name": "Balai Desa"})
    await cast.sari.patch("/providers/telkom-wms", {"name": "Telkom Satelit"})
    await publish(app)
    after = await scraped(cast.vera, "/metrics/sites")
    (renamed,) = after["sinyal_site_info"].samples
    assert (renamed.labels["name"], renamed.labels["provider_name"]) == ("Balai Desa", "Telkom Satelit")
    assert {s.labels["state"]: s.labels for s in after["sinyal_site_state"].samples} == {
        s.labels["state"]: s.labels for s in before["sinyal_site_state"].samples
    }


@pytest.mark.parametrize("path", ["/metrics", "/metrics/sites"])
async def test_promtool_finds_nothing_to_mend(path: str, app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    async with session.begin():
        now, figures = utc_now(), WorkerCounters(canaries={"127.255.0.1": 1}).as_dict()
        await worker.write_beat(session, now=now, started_at=now, blind_since=None, figures=figures)
    await publish(app)
    body = (await cast.vera.client.get(path)).content
    assert body.count(b"\n") > 20
    said = subprocess.run([program("promtool"), "check", "metrics"], input=body, capture_output=True)  # noqa: ASYNC221
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


async def test_probers_are_shown_by_number_once_there_are_any(cast: Cast, session: AsyncSession) -> None:
    assert not [name for name in await scraped(cast.stranger) if name.startswith(("sinyal_prober", "sinyal_vantage"))]
    await name_vantage(session, 1, "telkom")
    office, other = [await register_prober(session, name, 1) for name in ("office", "other")]
    await hear(session, other, silent_s=90, clock_offset_ms=-2_500, spooled_readings=7)
    async with session.begin():
        now, figures = utc_now(), WorkerCounters(vantage_sites={"1": 5}, prober_sites={str(office): 5})
        await worker.write_beat(session, now=now, started_at=now, blind_since=None, figures=figures.as_dict())
    answer = await cast.stranger.client.get("/metrics")
    assert "office" not in answer.text
    found = await scraped(cast.stranger)
    assert values(found["sinyal_vantage_sites"], "vantage") == {"1": 5}
    assert values(found["sinyal_vantage_live_probers"], "vantage") == {"1": 1}
    ids = (str(office), str(other))
    for name, expected in (
        ("live", (1, 0)),
        ("silent_seconds", (0, 90)),
        ("sites", (5, 0)),
        ("spooled_readings", (0, 7)),
        ("readings", (0, 0)),
    ):
        assert values(found[f"sinyal_prober_{name}"], "prober") == dict(zip(ids, expected, strict=True))
    assert values(found["sinyal_prober_clock_offset_seconds"], "prober") == {str(other): -2.5}
