"""Status of a site's agent: what its pushes reported, and whether its silence would count as an outage."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.agents import agent_tokens
from app.agents.models import Device, PushSource
from app.agents.silence_rule import DEVICE_IS_ADMITTED, HEARD_AT_ADDRESS, IS_ALWAYS_PRESENT, PUSHES, QUORUM
from app.core.clock import today, utc_now
from app.core.freshness import overdue_after
from app.judging import blind_ranges
from app.measurements.models import PushTraffic
from app.profiles import Technology, profiles
from app.registry.models import UnknownReason
from probes.contract import AGENT


class Unheeded(StrEnum):
    """Why a site's silence does not count (app/worker/missed_pushes.py).

    `not_pushed`: the site is not active, or not measured by an agent; `presence`: its device is
    declared present only at times; `never_heard`: it never sent a push; `token`: its
    last push used a token that is not valid now; `ingest`: the service is not proven to receive pushes; `few_others`:
    fewer than two other sites sent one recently.
    """

    NOT_PUSHED = "not_pushed"  # suspended, retired, or measured by another probe
    PRESENCE = "presence"
    NEVER_HEARD = "never_heard"
    TOKEN = "token"  # noqa: S105
    INGEST = "ingest"
    FEW_OTHERS = "few_others"


RECEIPTS = text("SELECT count(*) AS boots, min(first_at) AS first_at FROM push_receipt WHERE site_id = :site_id")
SILENCE_FACTS = text(f"""
    SELECT {PUSHES} AS pushed, {IS_ALWAYS_PRESENT} AS always_present, s.technology, st.valid_s, d.heard_at,
        {HEARD_AT_ADDRESS} AS heard,
        {DEVICE_IS_ADMITTED} AS token
    FROM site s JOIN site_status st ON st.site_id = s.id LEFT JOIN device d ON d.site_id = s.id
    WHERE s.id = :site_id
""")
COUNT_OTHERS_HEARD = text("""
    SELECT count(*) FROM (
        SELECT FROM device d JOIN site s ON s.id = d.site_id
        WHERE d.site_id <> :site_id AND d.heard_at > cast(:now AS timestamptz) - cast(:within AS interval)
        LIMIT :limit
    ) heard
""")
DEVICE_COLUMNS = (
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
    "near_at",
    "lan",
    "terminal",
    "carrier",
    "rx_bps",
    "tx_bps",
    "rates_at",
    "last_rejection",
    "last_rejected_at",
    "two_agents_at",
    "unheard_boot_at",
    "network_changed_at",
    "two_networks_at",
)
MAX_SOURCES = 100
COUNT_COLUMNS = ("accepted", "duplicates", "rejected")


async def read_device(session: AsyncSession, site_id: int, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of DeviceOut; nulls and zeros for a site whose agent has never sent a push."""
    token = await agent_tokens.find_valid(session, site_id)
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
        **{name: getattr(device, name, None) for name in DEVICE_COLUMNS},
        **{name: getattr(device, name, 0) for name in COUNT_COLUMNS},
        "sources": await _sources(session, site_id) if caller.sees_addresses else None,
        "boots": receipts.boots,
        "boots_since": receipts.first_at,
        **await read_silence(session, site_id, now=utc_now()),
        "month": month,
        "month_requests": traffic.requests if traffic else 0,
        "month_bytes": traffic.bytes if traffic else 0,
    }


async def _sources(session: AsyncSession, site_id: int) -> list[dict[str, Any]]:
    """Return the addresses that pushes came from, the latest first."""
    rows = await session.scalars(
        select(PushSource).where(PushSource.site_id == site_id).order_by(PushSource.last_at.desc()).limit(MAX_SOURCES)
    )
    return [{"address": row.address, "first_at": row.first_at, "last_at": row.last_at} for row in rows]


async def read_silence(session: AsyncSession, site_id: int, *, now: datetime) -> Mapping[str, Any]:
    """Return when the next push is expected, whether its absence would count as an outage, and if not, why."""
    facts = (await session.execute(SILENCE_FACTS, {"site_id": site_id})).one()
    interval = timedelta(seconds=max(profiles()[Technology(facts.technology)].send_every_s, facts.valid_s or 0))
    ignored: Unheeded | None = None
    if not facts.pushed:
        ignored = Unheeded.NOT_PUSHED
    elif not facts.always_present:
        ignored = Unheeded.PRESENCE
    elif facts.heard_at is None or not facts.heard:
        ignored = Unheeded.NEVER_HEARD
    elif not facts.token:
        ignored = Unheeded.TOKEN
    elif (await blind_ranges.missing_evidence_reasons(session))[AGENT] is not UnknownReason.SILENT:
        ignored = Unheeded.INGEST
    elif await _count_others_heard(session, site_id, now, within=overdue_after(interval)) < QUORUM:
        ignored = Unheeded.FEW_OTHERS
    expected = facts.pushed and facts.heard_at is not None
    return {
        "next_expected_at": facts.heard_at + interval if expected else None,
        "silence_counts": ignored is None,
        "silence_ignored": ignored,
    }


async def _count_others_heard(session: AsyncSession, site_id: int, now: datetime, *, within: timedelta) -> int:
    """Count up to QUORUM other sites that sent a push within that time."""
    values = {"site_id": site_id, "now": now, "within": within, "limit": QUORUM}
    return int(await session.scalar(COUNT_OTHERS_HEARD, values) or 0)
