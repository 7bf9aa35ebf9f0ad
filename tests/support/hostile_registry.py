"""A registry in which every free text is hostile: markup, quotes, a direction override, zero width, great length."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account, Role
from app.alerts.message_links import make_token
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.vantages.models import Vantage
from tests.access.browser import account
from tests.conftest import SECRET_KEY
from tests.support.contracts import create_contract
from tests.support.diagnoses import make_diagnosis
from tests.support.incident_scenario import IncidentScenario
from tests.support.probers import hear, register_prober
from tests.support.stored_report import store_draft

OVERRIDE = "\u202e"  # what follows reads from right to left, unless it is isolated
MARK = "<script>alert(1)</script>"
HOSTILE = f"{MARK}{OVERRIDE}gnirts\u200b\u0301\"'><img src=x onerror=alert(2)> &lt; {{{{7*7}}}} {{%raw%}}"
VILLAGE = "64.02.05.2003"
SITE_TEXTS = (
    *("name", "service_no", "location_note", "ssid", "public_hours", "power_hours", "device_model"),
    *("contact_name", "contact_phone", "notes"),
)


def hostile(length: int) -> str:
    """Return such a text of the length that its field allows."""
    return (HOSTILE + " panjang" * (length // 8))[:length].strip()


@dataclass(frozen=True)
class HostileRegistry:
    """Values for the parameters of pages' addresses."""

    ids: dict[str, str]

    def path(self, template: str) -> str:
        """Raises KeyError for a parameter that has no value here: add one."""
        return template.format_map(self.ids)


async def create_hostile_registry(scenario: IncidentScenario, session: AsyncSession) -> HostileRegistry:
    cast = scenario.cast
    _made(await cast.sari.post("/providers", {"slug": "jahat", "name": hostile(500), "aliases": [hostile(60)]}))
    lengths = {"notes": 4000}
    texts = {field: hostile(lengths.get(field, 500)) for field in SITE_TEXTS}
    site = await scenario.site(provider="jahat", venue="kantor_desa", **texts)
    speed = {"name": hostile(500), "probe": "push", "technology": "geo", "provider": "jahat", "host": None}
    pushing = _made(await cast.sari.post("/sites", {"village_code": VILLAGE, **speed}))
    await scenario.write(site, (0, 600, "up"), (600, None, "down"))
    (incident,) = await scenario.list_incidents()
    path = f"/incidents/{incident['id']}"
    handled = {"status": "acknowledged", "assignee": hostile(500), "ticket_no": hostile(500), "cause": "link"}
    assert (await cast.ana.patch(path, handled)).status_code == 200
    _made(await cast.ana.post(f"{path}/notes", {"text": hostile(4000)}))
    contract = await create_contract(cast, number=hostile(500), provider="jahat")
    under = {"sites": [{"site": str(site), "from": "2026-06-01", "to": "2026-07-01"}], "reason": hostile(500)}
    assigned = _made(await cast.sari.post(f"/contracts/{contract['id']}/sites", under))
    window = _made(await cast.ana.post("/maintenance", _window(scenario, site)))
    person = await account(session, "jahat", Role.DISTRICT_OPERATOR, "64.02")
    await _write_names(session, person)
    _made(await cast.sari.post("/tokens", {"name": hostile(100), "role": "viewer"}))
    channel = _made(await cast.ana.post("/channels", {"name": hostile(80), "url": "https://hooks.example.go.id/jahat"}))
    told = await cast.ana.post(f"/channels/{channel['id']}/test")
    assert told.status_code == 202, told.text
    (rule, *_) = (await cast.ana.get("/rules")).json()["items"]
    assert (await cast.ana.patch(f"/rules/{rule['id']}", {"name": hostile(80)})).status_code == 200
    keys = {"client_id": MARK, "client_secret": MARK}
    telemetry = {"name": hostile(100), "provider": "jahat", "base_url": "https://starlink.example/api", **keys}
    source = _made(await cast.sari.post("/telemetry/accounts", telemetry))
    async with session.begin():
        report = await store_draft(session, contract["id"], text=HOSTILE)
        session.add(Vantage(number=1, name="jahat", label=HOSTILE))
    prober = await register_prober(session, "jahat", 1)
    await hear(session, prober, version=HOSTILE, address=HOSTILE)
    ids = {
        "report_id": report,
        "site_code": f"{VILLAGE}-01",
        "channel_id": channel["id"],
        "rule_id": rule["id"],
        "notification_id": told.json()["id"],
        "token": make_token(told.json()["id"], utc_now() + timedelta(days=1), Sealer([SECRET_KEY])),
        "site_id": site,
        "ident": site,
        "incident_id": incident["id"],
        "contract_id": contract["id"],
        "assignment_id": assigned["items"][0]["id"],
        "window_id": window["id"],
        "provider_id": "jahat",
        "account_id": person.id,
        "telemetry_account_id": source["id"],
        "prober_id": prober,
        "kind": "snmp",
        "diagnosis_id": await make_diagnosis(session, site),
        "code": "64.02",
        "view_id": 1,
        "token_id": 1,
        "village": VILLAGE,
        "pushing": pushing["id"],
        "file": "kamus.csv",
        "month": "2026-10",
        "version": 1,
        "period": "2026-Q3",
        "number": 1,
    }
    return HostileRegistry({name: str(value) for name, value in ids.items()})


def _made(answer: httpx.Response) -> Any:
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def _window(scenario: IncidentScenario, site: int) -> dict[str, str]:
    return {
        "site": str(site),
        "title": hostile(500),
        "reason": hostile(4000),
        "started_at": scenario.now.isoformat(),
        "ended_at": (scenario.now + timedelta(days=2)).isoformat(),
    }


async def _write_names(session: AsyncSession, person: Account) -> None:
    """Also where the API itself takes nothing so long, such as a device's agent."""
    async with session.begin():
        await session.execute(
            text("UPDATE account SET name = :name WHERE id = :id"), {"name": hostile(100), "id": person.id}
        )
