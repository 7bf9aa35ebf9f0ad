"""One resource of each kind, in Kutai Kartanegara and of Telkom; and callers of every role, region and provider."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens
from app.access.models import Account, Role, Token
from app.alerts.message_links import make_token
from app.alerts.models import Channel, Notification, NotificationKind
from app.availability import monthly_close
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.registry.models import Provider
from app.reports.models import Objection, Report
from tests.access.route_catalog import DECISION
from tests.conftest import SECRET_KEY, Cast
from tests.support.contracts import create_contract
from tests.support.delivering_probers import make_vantage
from tests.support.diagnoses import make_diagnosis
from tests.support.incident_scenario import IncidentScenario
from tests.support.monthly_close import AFTERWARDS, MONTH, NEXT, START
from tests.support.open_data import make_edition
from tests.support.site_histories import assign, day, make_contract, site_since

MARK = "Rahasia"  # in the name of all that is Kutai Kartanegara's own
CONTRACT_MARK = "K-7713"  # contracts are seen by every district, and by no other provider
CONTACT_NAME, CONTACT_PHONE = "Ibu Rina Kartikasari", "0812-5550-7713"
HERE, THERE = "64.02", "64.03"
VILLAGE = "64.02.05.2003"


@dataclass(frozen=True)
class Resource:
    """What a path identifies, and the status that callers outside its scope get; None: everybody may see it."""

    id: str
    other_district: int | None = 404
    other_provider: int | None = 404
    own_provider: int | None = None  # the status of its provider's own viewers, if they do not see it
    below: Mapping[str, str] = field(default_factory=dict, hash=False)  # further path parameters


@dataclass(frozen=True)
class KnownCaller:
    name: str
    client: httpx.AsyncClient
    role: Role | None  # None: no valid token
    outsider: str | None = None  # other_district or other_provider: out of the resources' scope


async def create_resources(scenario: IncidentScenario, session: AsyncSession) -> dict[str, Resource]:
    """By their path, or by it with a slash for all paths below. Add new kinds of resources here."""
    cast = scenario.cast
    site = await scenario.site(
        name=f"Titik {MARK}",
        service_no=f"SID-{MARK}",
        probe="tcp",
        port=8291,
        contact_name=CONTACT_NAME,
        contact_phone=CONTACT_PHONE,
    )
    await scenario.write(site, (0, 600, "up"), (600, None, "down"))
    (incident,) = await scenario.list_incidents()
    note = await cast.ana.post(f"/incidents/{incident['id']}/notes", {"text": f"Catatan {MARK}"})
    assert note.status_code == 201, note.text
    contract = await create_contract(cast, number=CONTRACT_MARK, valid_from="2026-01-01")
    under = {"sites": [{"site": str(site), "from": "2026-06-01", "to": "2026-07-01"}], "reason": "awal"}
    assigned = await cast.sari.post(f"/contracts/{contract['id']}/sites", under)
    assert assigned.status_code == 201, assigned.text
    window = await cast.ana.post(
        "/maintenance",
        {
            "site": str(site),
            "title": f"Kerja {MARK}",
            "reason": "terlambat dicatat",
            "started_at": scenario.at(0).isoformat(),
            "ended_at": scenario.at(60).isoformat(),
        },
    )
    assert window.status_code == 201, window.text
    async with session.begin():
        account = Account(
            username=f"dian-{MARK.lower()}",
            name=f"Dian {MARK}",
            password_hash="none",
            role=Role.DISTRICT_OPERATOR,
            region_code=HERE,
            must_change_password=False,
            version=1,
        )
        session.add(account)
        await session.flush()
        token = Token(
            name=f"sensor {MARK}",
            digest=b"none",
            role=Role.VIEWER,
            region_code=HERE,
            account_id=account.id,
            created_at=utc_now(),
        )
        session.add(token)
        await session.flush()
    channel, rule, notification = await _create_alerts(cast, session)
    draft, issued = await _create_reports(cast, session, contract["id"])
    certificate = await _create_certificate(cast, session)
    paper = (await cast.sari.get(f"/reports/{issued}")).json()["verify_code"]
    pushing = await scenario.site(name="Titik mandiri", probe="push")  # its code opens its page
    code = (await cast.ana.post(f"/sites/{pushing}/enrolment")).json()["code"]
    month = await make_edition(session)
    telemetry = await cast.sari.post(
        "/telemetry/accounts",
        {
            "provider": "telkom-wms",
            "name": f"Akun {CONTRACT_MARK}",
            "base_url": "https://starlink.example/api",
            "client_id": "c",
            "client_secret": f"{MARK} akun",
        },
    )
    assert telemetry.status_code == 201, telemetry.text
    await make_vantage(cast, name="telkom")
    prober = await cast.sari.post("/probers", {"name": "samarinda-9", "vantage": "telkom"})
    assert prober.status_code == 201, prober.text
    return {
        "/probers/{id}": Resource(str(prober.json()["id"]), None, None),
        "/vantages/{number}": Resource("1", None, None),
        "/sites/{id}": Resource(str(site), below={"diagnosis_id": str(await make_diagnosis(session, site))}),
        "/sites/{id}/agent": Resource(str(pushing)),
        "/sites/{id}/enrolment": Resource(str(pushing)),
        "/sites/{id}/presence": Resource(str(pushing)),
        "/enrol/{code}": Resource(code, None, None, below={"page": "status"}),
        "/enrol/{page}": Resource("status", None, None),
        "/incidents/{id}": Resource(str(incident["id"])),
        "/telemetry/accounts/{id}": Resource(str(telemetry.json()["id"]), other_district=None),
        "/sites/{id}/telemetry/{kind}": Resource(str(site), below={"kind": "snmp"}),
        "/maintenance/{id}": Resource(str(window.json()["id"])),
        "/contracts/{id}": Resource(str(contract["id"]), other_district=None),
        "/contracts/{id}/sites/{assignment_id}": Resource(
            str(contract["id"]), below={"assignment_id": str(assigned.json()["items"][0]["id"])}
        ),
        "/reports/{id}": Resource(str(draft), below={"no": "1", "file": "sites.csv"}),
        "/reports/{id}/correct": Resource(str(issued)),
        "/certificates/{id}": Resource(str(certificate), below={"file": "hours.csv"}),
        "/accounts/{id}": Resource(str(account.id)),
        "/tokens/{id}": Resource(str(token.id)),
        "/channels/{id}": Resource(str(channel), own_provider=404),
        "/rules/{id}": Resource(str(rule), own_provider=404),
        "/notifications/{id}": Resource(str(notification)),
        "/acknowledgements/{token}": Resource(
            make_token(notification, utc_now() + timedelta(days=1), Sealer([SECRET_KEY]))
        ),
        "/me/views/{id}": Resource("1", None, None),  # everybody has only their own
        "/regions/{code}": Resource(HERE, other_district=None, other_provider=None),
        "/regions/{code}/": Resource(HERE, other_district=403, other_provider=None),
        "/providers/{id}": Resource("telkom-wms", other_district=None),
        **{f"{language}/kabupaten/{{code}}": Resource(HERE, None, None) for language in ("", "/en")},
        **{f"{language}/desa/{{code}}": Resource(VILLAGE, None, None) for language in ("", "/en")},
        **{f"{language}/verifikasi/{{code}}": Resource(paper, None, None) for language in ("", "/en")},
        "/data/{file}": Resource("kamus.csv", None, None),
        "/reviews/{period}": Resource("2026-Q3", None, None),
        "/data-terbuka/{month}": Resource(month, None, None, below={"version": "v1", "file": "kamus.csv"}),
        "/en/data-terbuka/{month}": Resource(month, None, None),
    }


async def _create_reports(cast: Cast, session: AsyncSession, contract: int) -> tuple[int, int]:
    """Let the contract have a closed month; return a draft that may be issued, and an issued report, of another."""
    other = await make_contract(session, f"{CONTRACT_MARK}-2")
    for number in (contract, other):
        fields = {"name": f"Titik {MARK} {number}", "village_code": "64.02.05.2001"}
        site = await site_since(session, cast, START, AFTERWARDS, **fields)
        await assign(session, site, number, MONTH)
    async with session.begin():
        while await monthly_close.close_months(session, utc_now()):
            pass
    reports = []
    for month in (MONTH, NEXT):
        body = {"period": f"{month:%Y-%m}", "parties": {"ppk": {"name": MARK}, "provider_signatory": {"name": MARK}}}
        drafted = await cast.sari.post(f"/contracts/{other}/reports", body)
        assert drafted.status_code == 201, drafted.text
        reports.append(drafted.json()["id"])
    async with session.begin():
        session.add(Objection(report_id=reports[0], no=1, text=f"Keberatan {MARK}", filed_by="telkom"))
        await session.execute(update(Report).values(no_objections_at=utc_now(), no_objections_by="telkom"))
    decided = await cast.sari.post(f"/reports/{reports[0]}/objections/1/decision", DECISION)
    assert decided.status_code == 200, decided.text
    issued = await cast.sari.post(f"/reports/{reports[1]}/issue", headers={"If-Match": '"1"'})
    assert issued.status_code == 200, issued.text
    return reports[0], reports[1]


async def _create_certificate(cast: Cast, session: AsyncSession) -> int:
    """Return the certificate of a day that is over."""
    site = await site_since(session, cast, START, AFTERWARDS, name=f"Titik {MARK} 0", village_code="64.02.05.2002")
    asked = await cast.ana.post(f"/sites/{site}/certificates", {"from": day(2).isoformat()})
    assert (asked.status_code, asked.json()["status"]) == (201, "done"), asked.text
    return int(asked.json()["id"])


async def _create_alerts(cast: Cast, session: AsyncSession) -> tuple[int, int, int]:
    """Return a channel that no rule names, a rule, and a notification to the provider."""
    async with session.begin():
        telkom = await session.scalar(select(Provider.id).where(Provider.slug == "telkom-wms"))
    channels = [
        Channel(
            region_code=HERE,
            provider_id=provider_id,
            name=f"Saluran {MARK} {number}",
            service="webhook",
            target=b"",
            target_hint=f"https://{MARK}.example/…",
            created_by="ana",
            version=1,
        )
        for number, provider_id in enumerate((None, None, telkom))
    ]
    async with session.begin():
        session.add_all(channels)
        await session.flush()
        told = Notification(
            key=uuid4(),
            channel_id=channels[2].id,
            region_code=HERE,
            kind=NotificationKind.TEST,
            content={},
            title=f"Uji {MARK}",
            text=f"Uji {MARK}",
        )
        session.add(told)
    rule = await cast.ana.post(
        "/rules", {"name": f"Aturan {MARK}", "office": HERE, "kinds": ["down"], "channels": [channels[1].id]}
    )
    assert rule.status_code == 201, rule.text
    return channels[0].id, rule.json()["id"], told.id


@asynccontextmanager
async def open_callers(
    app: FastAPI, session: AsyncSession, providers: dict[str, int]
) -> AsyncIterator[list[KnownCaller]]:
    """Callers of the six roles with the resources in scope, without a valid token, of another district or provider."""
    telkom = providers["telkom-wms"]
    good: list[tuple[str, Role, str, int | None, str | None]] = [
        (
            role.value,
            role,
            "64" if role.value.startswith("pro") else HERE,
            telkom if role is Role.PROVIDER_VIEWER else None,
            None,
        )
        for role in Role
    ] + [
        ("other district's admin", Role.DISTRICT_ADMIN, THERE, None, "other_district"),
        ("other district's operator", Role.DISTRICT_OPERATOR, THERE, None, "other_district"),
        ("other district's viewer", Role.VIEWER, THERE, None, "other_district"),
        ("other provider's viewer", Role.PROVIDER_VIEWER, "64", providers["iconplus"], "other_provider"),
    ]
    callers = [KnownCaller("no token", _client(app, None), None)]
    async with session.begin():
        for name, role, region, provider, outsider in good:
            secret = await _token(session, name, role, region, provider)
            callers.append(KnownCaller(name, _client(app, secret), role, outsider))
        for name, spoiled in (("expired token", "expires_at"), ("revoked token", "revoked_at")):
            secret = await _token(session, name, Role.PROVINCE_ADMIN, "64", None)
            earlier: dict[str, Any] = {spoiled: utc_now() - timedelta(seconds=1)}
            await session.execute(update(Token).where(Token.name == name).values(**earlier))
            callers.append(KnownCaller(name, _client(app, secret), None))
    yield callers
    for caller in callers:
        await caller.client.aclose()


async def _token(session: AsyncSession, name: str, role: Role, region: str, provider: int | None) -> str:
    return await api_tokens.create_token(session, name=name, role=role, region_code=region, provider_id=provider)


def _client(app: FastAPI, secret: str | None) -> httpx.AsyncClient:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)
