"""What a push reports of its device, by the columns of `device`. Pure."""

from typing import Any

from app.core.clock import from_slot
from app.measurements.near import Near
from app.push.dedupe import PushResult, ReceivedPush
from app.push.near_rows import NearState
from app.push.timestamps import PushSite


def device_values(
    received: ReceivedPush,
    site: PushSite,
    result: PushResult,
    *,
    second_agent: bool,
    unheard_boot: bool,
    near: NearState | None,
) -> dict[str, Any]:
    """Return what the push reports of its device, by the columns of `device`."""
    push, at = received.push, received.received_at
    return {
        "site_id": site.site_id,
        "heard_at": at,
        "told_s": site.send_every_s,
        "boot": push.boot,
        "booted_at": received.booted_at,
        "seq": max(
            (timed.row.seq for timed in received.rows if timed.reading is not None and timed.row.boot == push.boot),
            default=None,
        ),
        "agent": push.agent,
        "clients": push.clients,
        "measures": push.rows[-1].sent > 0 if push.rows else None,
        "clock_offset_s": None if push.sent_us is None else (received.received_us - push.sent_us) / 1_000_000,
        "waiting": push.waiting,
        "dropped": push.dropped,
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "rejected": len(result.rejected),
        "last_rejection": result.rejected[-1].code if result.rejected else None,
        "last_rejected_at": at if result.rejected else None,
        "two_agents_at": at if second_agent else None,
        "unheard_boot_at": at if unheard_boot else None,
        "token_id": received.token_id,
        "near_at": None if near is None else from_slot(near.slot),
        **(Near() if near is None else near.near)._asdict(),
        "rx_bps": push.rates.get("rx_bps"),
        "tx_bps": push.rates.get("tx_bps"),
        "rates_at": at if push.rates else None,
    }


def merge(earlier: dict[str, Any] | None, later: dict[str, Any]) -> dict[str, Any]:
    """Merge the values of two pushes of one device in one transaction: counts add up, known values win over None."""
    if earlier is None:
        return later
    counts = {name: earlier[name] + later[name] for name in ("accepted", "duplicates", "rejected")}
    near = {} if later["near_at"] is None else {name: later[name] for name in Near._fields}  # null: not asked
    return earlier | {name: value for name, value in later.items() if value is not None} | counts | near
