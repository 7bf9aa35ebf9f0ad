"""Commands on probers and vantages: the rules are those of the REST API, and they are audited."""

from typing import Any

from app.runtime.admin import ALL_ROWS, read_fields
from app.runtime.admin_session import admin_session, command_line_caller
from app.settings import Settings
from app.vantages import store
from app.vantages.schemas import ProberIn, VantageIn


async def create_prober(settings: Settings, **fields: Any) -> str:
    """Return the prober's token."""
    async with admin_session(settings, name="probers") as session:
        prober = read_fields(ProberIn, fields)
        caller = command_line_caller()
        return (await store.create_prober(session, name=prober.name, vantage=prober.vantage, caller=caller))[1]


async def list_probers(settings: Settings) -> list[dict[str, Any]]:
    async with admin_session(settings, name="probers") as session:
        return await store.list_probers(session, caller=command_line_caller(), limit=ALL_ROWS)


async def revoke_prober(settings: Settings, prober_id: int) -> None:
    async with admin_session(settings, name="probers") as session:
        await store.revoke_prober(session, prober_id, caller=command_line_caller())


async def name_vantage(settings: Settings, number: int, **fields: Any) -> None:
    async with admin_session(settings, name="probers") as session:
        vantage = read_fields(VantageIn, fields)
        await store.put_vantage(session, number, vantage, caller=command_line_caller(), if_match=None)
