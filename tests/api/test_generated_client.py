"""A client that openapi-python-client generates from the served document, without network, does an operator's work."""

import importlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from app.core.clock import floor_second, utc_now
from app.settings import ROOT
from tests.support.incident_scenario import IncidentScenario
from tests.support.served_api import Served

pytestmark = pytest.mark.real_time

PACKAGE = "sinyal_client"


class GeneratedClient:
    """The package, and its client with sari's token."""

    def __init__(self, live: Served) -> None:
        token = live.cast.sari.client.headers["Authorization"].removeprefix("Bearer ")
        package, self.models = importlib.import_module(PACKAGE), importlib.import_module(f"{PACKAGE}.models")
        self.http = package.AuthenticatedClient(
            base_url=f"http://127.0.0.1:{live.port}",
            token=token,
            timeout=httpx.Timeout(60),
            httpx_args={"trust_env": False},
        )

    async def call(self, tag: str, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Return what the operation answered, as a model; anything but a model of the document fails."""
        module = importlib.import_module(f"{PACKAGE}.api.{tag}.{operation}")
        answer = await module.asyncio_detailed(*args, client=self.http, **kwargs)
        assert answer.parsed is not None, (answer.status_code, answer.content)
        return answer.parsed


@pytest.fixture
async def package(live: Served, tmp_path: Path) -> Path:
    """Generate the package as docs/api.md says, from the document of the running service."""
    document = tmp_path / "openapi.json"
    document.write_bytes((await live.cast.stranger.client.get("/openapi.json", timeout=60)).content)
    config = Config.from_sources(
        ConfigFile.load_from_path(ROOT / "config" / "openapi-python-client.json"),
        meta_type=MetaType.NONE,
        document_source=document,
        file_encoding="utf-8",
        overwrite=False,
        output_path=tmp_path / PACKAGE,
    )
    warnings = generate(config=config)
    assert [f"{warning.header}: {warning.detail}" for warning in warnings] == []
    return tmp_path


@pytest.fixture
async def client(live: Served, package: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GeneratedClient]:
    monkeypatch.syspath_prepend(package)
    client = GeneratedClient(live)
    async with client.http:
        yield client
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


async def test_a_generated_client_registers_a_site_and_reads_its_state_uptime_verdict_and_incidents(
    client: GeneratedClient, live: Served
) -> None:
    models = client.models
    wanted = models.SiteIn(
        village_code="64.02.05.2004",
        technology=models.Technology.FIBER,
        provider="telkom-wms",
        probe=models.ProbeKind.ICMP,
        host="198.51.100.40",
    )
    made = await client.call("registry", "create_site", body=wanted)
    assert (made.code, made.state) == ("64.02.05.2004-01", models.State.UNKNOWN)
    refused = await client.call("registry", "create_site", body=wanted)
    assert refused.type_.endswith("/problems/conflict")

    start = floor_second(utc_now()) - timedelta(hours=1)
    scenario = IncidentScenario(live.cast, live.sessions, start, utc_now())
    site = await scenario.site()
    await scenario.write(site, (-100, 600, "up"), (600, 900, "down"), (900, None, "up"))
    await live.settle()

    status = await client.call("dashboards", "get_status")
    assert {row.code for row in status.sites} == {made.code, "64.02.05.2003-01"}

    end = start + timedelta(minutes=30)
    uptime = await client.call("one_site", "get_site_uptime", str(site), from_=start.isoformat(), to=end.isoformat())
    assert (uptime.from_, uptime.to) == (start, end)
    assert (uptime.total.seconds.up, uptime.total.seconds.down) == (1500, 300)
    assert uptime.total.uptime_pct == pytest.approx(83.333)

    contract = models.ContractIn(
        number="027/1123/DISKOMINFO/2026",
        provider="telkom-wms",
        valid_from=(start - timedelta(days=30)).date(),
        sla_target_pct=99.0,
        min_outage_s=60,
    )
    agreed = await client.call("registry", "create_contract", body=contract)
    assigned = models.SiteAssignmentIn(site=str(site), from_=(start - timedelta(days=2)).date())
    sites = models.SiteAssignmentsIn(sites=[assigned], reason="addendum 2")
    await client.call("registry", "add_contract_sites", str(agreed.id), body=sites)
    listed = await client.call("aggregates", "get_sla", from_=start.isoformat(), to=end.isoformat())
    assert [(row.code, row.contract and row.contract.id, row.verdict) for row in listed.items] == [
        ("64.02.05.2003-01", agreed.id, models.SlaVerdict.MISSED)
    ]
    (row,) = listed.items
    assert (row.service_s, row.good_s, row.counted_down_s, row.unknown_s) == (1800, 1500, 300, 0)

    incidents = await client.call("operations", "list_incidents")
    (incident,) = incidents.items
    assert (incident.status, incident.duration_s) == (models.IncidentStatus.RESOLVED, 300)
    patch = models.IncidentPatch(cause=models.Cause.POWER, ticket_no="T-2026-118")
    changed = await client.call("operations", "patch_incident", str(incident.id), body=patch)
    assert (changed.cause, changed.ticket_no) == (models.Cause.POWER, "T-2026-118")

    unknown = await client.call("registry", "get_site", "64.02.05.2003-99")
    assert (unknown.status, unknown.type_.rpartition("/")[2]) == (404, "not-found")
