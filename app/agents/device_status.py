"""What is known of a site's agent: when it was heard, what it said of itself, what it was and was not believed."""

from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens, silence_status
from app.agents.models import Device, PushTraffic
from app.core.clock import today, utc_now

RECEIPTS = text("SELECT count(*) AS boots, min(first_at) AS first_at FROM push_receipt WHERE site_id = :site_id")
SAID = (
    "heard_at",
    "boot",
    "booted_at",
    "seq",
    "agent",
    "clients",
    "measures",
    "clock_offset_s",
    "waiting",
    "dropped",
    "last_rejection",
    "last_rejected_at",
    "two_agents_at",
)
COUNTS = ("accepted", "duplicates", "rejected")


async def read_device(session: AsyncSession, site_id: int) -> dict[str, Any]:
    """Nothing but nulls and zeros of a site that has none yet. Of its token, all but the secret, which nobody keeps."""
    token = await agent_tokens.find_good(session, site_id)
    device = await session.get(Device, site_id)
    month = today().replace(day=1)
    traffic = (
        await session.scalars(select(PushTraffic).where(PushTraffic.site_id == site_id, PushTraffic.month == month))
    ).one_or_none()
    receipts = (await session.execute(RECEIPTS, {"site_id": site_id})).one()
    return {
        "site_id": site_id,
        "kind": token and token.kind,
        "token_created_at": token and token.created_at,
        "token_created_by": token and token.created_by,
        **{name: getattr(device, name, None) for name in SAID},
        **{name: getattr(device, name, 0) for name in COUNTS},
        "boots": receipts.boots,
        "boots_since": receipts.first_at,
        **await silence_status.read_awaited(session, site_id, now=utc_now()),
        "month": month,
        "month_requests": traffic.requests if traffic else 0,
        "month_bytes": traffic.bytes if traffic else 0,
    }
