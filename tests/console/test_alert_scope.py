"""Whoever is of another office, of a provider, or only reads changes nothing by the forms of alerts."""

from collections.abc import Callable

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.alerts.message_links import GOOD_FOR, make_token
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.registry.models import Provider
from tests.access.browser import account
from tests.conftest import SECRET_KEY
from tests.support.alerts import AlertDesk
from tests.support.console import Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.told import CONTENTS

TABLES = ("channel", "alert_rule", "notification", "announcement", "incident")


async def test_no_form_of_alerts_does_anything_for_whom_it_is_not_meant(
    scenario: IncidentScenario, desk: AlertDesk, session: AsyncSession, visitor: Callable[[], Visitor]
) -> None:
    channel = await desk.channel(provider="iconplus")
    rule = await desk.rule(channel)
    site = await scenario.site(provider="iconplus")
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    told = await desk.notify(channel, CONTENTS["one site down"])
    link = make_token(told, utc_now() + GOOD_FOR, Sealer([SECRET_KEY]))
    providers = {provider.slug: provider.id for provider in await session.scalars(select(Provider))}
    await session.rollback()
    new_channel = {"name": "Tamu", "office": "64.02", "url": "https://hooks.example.go.id/x", "language": "id"}
    new_rule = {"name": "Tamu", "office": "64.02", "kinds": "down", "channels": str(channel), "do": "save"}
    forms = {
        "/console/channels/new": new_channel | {"form": "long"},
        f"/console/channels/{channel}": {"name": "Tamu", "do": "save"},
        f"/console/channels/{channel}?": {"do": "pause"},
        f"/console/channels/{channel}/test": {},
        f"/console/channels/{channel}/delete": {},
        "/console/rules/new": new_rule,
        "/console/rules/new?": new_rule | {"do": "preview"},
        f"/console/rules/{rule}": new_rule,
        f"/console/rules/{rule}?": new_rule | {"do": "preview"},
        f"/console/rules/{rule}/mute": {"for": "8h"},
        f"/console/rules/{rule}/delete": {},
        f"/console/acknowledge/{link}": {"expected_count": "1"},
    }
    await _add_accounts(session, providers["iconplus"])
    before = await _snapshot(session)
    for username in ("tetangga", "pembaca", "pembaca-sini", "penyedia"):
        browser = visitor()
        await browser.sign_in(username)
        token = (await browser.get("/console/me")).form("/console/sign-out")
        for path, fields in forms.items():
            page = await browser.post(path, token | fields)
            assert page.status in {403, 404}, (username, path, page.status)
    assert await _snapshot(session) == before


async def _add_accounts(session: AsyncSession, provider_id: int) -> None:
    await account(session, "tetangga", Role.DISTRICT_ADMIN, "64.03")
    await account(session, "pembaca", Role.VIEWER, "64")
    await account(session, "pembaca-sini", Role.VIEWER, "64.02")
    await account(session, "penyedia", Role.PROVIDER_VIEWER, "64", provider_id=provider_id)


async def _snapshot(session: AsyncSession) -> dict[str, list[str]]:
    rows = {name: await session.scalars(text(f"SELECT t::text FROM {name} t ORDER BY 1")) for name in TABLES}
    found = {name: list(of) for name, of in rows.items()}
    await session.rollback()
    return found
