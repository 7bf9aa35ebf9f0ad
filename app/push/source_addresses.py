"""The addresses that pushes come from: stored when one changes, and about hourly. Shown to the province alone.

A device's address changes by itself (carrier NAT draws from a pool), so what is compared is its network.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.push.dedupe import ReceivedPush
from app.push.last_push import LastPush
from app.push.timestamps import PushSite

STORED_EVERY = timedelta(hours=1)
ALTERNATES_WITHIN = timedelta(hours=1)
NETWORK_BITS = {4: 16, 6: 32}
KEPT_PER_SITE = 100  # the latest ones

KNOWN = text("""
    SELECT n.site_id, s.address, s.last_at FROM unnest(cast(:sites AS int[])) AS n(site_id), LATERAL (
        SELECT address, last_at FROM push_source WHERE site_id = n.site_id ORDER BY last_at DESC LIMIT :limit
    ) s
""")
UPSERT = text("""
    INSERT INTO push_source AS s (site_id, address, first_at, last_at)
    SELECT site_id, address, first_at, last_at FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, address text, first_at timestamptz, last_at timestamptz)
    ORDER BY site_id, address
    ON CONFLICT (site_id, address) DO UPDATE SET last_at = greatest(s.last_at, excluded.last_at)
""")
UPDATE_DEVICES = text("""
    UPDATE device d SET address = n.address, address_at = n.at,
        network_changed_at = coalesce(n.network_changed_at, d.network_changed_at),
        two_networks_at = coalesce(n.two_networks_at, d.two_networks_at)
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, address text, at timestamptz,
        network_changed_at timestamptz, two_networks_at timestamptz)
    WHERE d.site_id = n.site_id
""")
DELETE_UNSEEN = text("DELETE FROM push_source WHERE last_at < :before")
DELETE_SURPLUS = text("""
    DELETE FROM push_source s USING (
        SELECT site_id, address, row_number() OVER (PARTITION BY site_id ORDER BY last_at DESC) AS number
        FROM push_source
    ) ranked
    WHERE s.site_id = ranked.site_id AND s.address = ranked.address AND ranked.number > :limit
""")
FORGET_OF_DEVICES = text(
    "UPDATE device SET address = NULL, address_at = NULL WHERE heard_at < :before AND address IS NOT NULL"
)
FORGET_OF_CLAIMS = text("UPDATE claim SET address = NULL WHERE received_at < :before AND address IS NOT NULL")

LastSeen = Mapping[str, datetime]  # by address


@dataclass(frozen=True, slots=True)
class Sighting:
    """A push whose address is to be stored. `before`: the address that the push before it came from, at `before_at`."""

    site_id: int
    address: str
    at: datetime
    before: str | None
    before_at: datetime | None


def sighting(received: ReceivedPush, site: PushSite, last: LastPush | None) -> Sighting | None:
    """Return what is to be stored of a push's address, None if that was stored not long ago."""
    address, at = received.address, received.received_at
    if address is None:
        return None
    if last is None or last.address is None or last.address_at is None:
        return Sighting(site.site_id, address, at, None, None)
    if address == last.address and at - last.address_at < STORED_EVERY:
        return None
    return Sighting(site.site_id, address, at, last.address, last.heard_at)


async def record(session: AsyncSession, sightings: Sequence[Sighting]) -> None:
    """Store the addresses, and note in `device` where a network is new or alternates. The devices must be stored."""
    if not sightings:
        return
    rows = await session.execute(KNOWN, {"sites": [one.site_id for one in sightings], "limit": KEPT_PER_SITE})
    known: dict[int, dict[str, datetime]] = defaultdict(dict)
    for site_id, address, last_at in rows:
        known[site_id][address] = last_at
    devices: dict[int, dict[str, Any]] = {}
    for one in sightings:
        seen = known[one.site_id]
        if one.before is not None and one.before_at is not None:
            seen[one.before] = one.before_at
        marks = {name: at for name, at in network_marks(one, seen).items() if at is not None}
        earlier = devices.get(one.site_id, {})
        devices[one.site_id] = earlier | {"site_id": one.site_id, "address": one.address, "at": one.at} | marks
        seen[one.address] = one.at
    await session.execute(UPSERT, {"rows": _json(_source_rows(sightings))})
    await session.execute(UPDATE_DEVICES, {"rows": _json(devices.values())})


def network_marks(one: Sighting, seen: LastSeen) -> dict[str, datetime | None]:
    """Return when its network changed to one never seen, and when it alternated with another one. Pure.

    A change between the families is no alternation: a device that has both uses either.
    """
    network = source_network(one.address)
    same = [at for address, at in seen.items() if source_network(address) == network]
    before = None if one.before is None else source_network(one.before)
    was_elsewhere = before is not None and before != network and before.version == network.version
    alternates = was_elsewhere and any(one.at - at < ALTERNATES_WITHIN for at in same)
    is_new = bool(seen) and not same
    return {"network_changed_at": one.at if is_new else None, "two_networks_at": one.at if alternates else None}


def source_network(address: str) -> Any:
    """Return the network that an address belongs to: /16 of IPv4, /32 of IPv6."""
    return ip_network((address, NETWORK_BITS[ip_address(address).version]), strict=False)


async def delete_old(session: AsyncSession, before: datetime) -> None:
    """Forget the addresses that were last seen before that moment, and all but the latest of each site."""
    await session.execute(DELETE_UNSEEN, {"before": before})
    await session.execute(DELETE_SURPLUS, {"limit": KEPT_PER_SITE})
    await session.execute(FORGET_OF_DEVICES, {"before": before})
    await session.execute(FORGET_OF_CLAIMS, {"before": before})


def _source_rows(sightings: Iterable[Sighting]) -> list[dict[str, Any]]:
    """Return one row per site and address; an address that was left was last seen with the push before."""
    ranges: dict[tuple[int, str], tuple[datetime, datetime]] = {}
    for one in sightings:
        for address, at in ((one.before, one.before_at), (one.address, one.at)):
            if address is not None and at is not None:
                first, last = ranges.get((one.site_id, address), (at, at))
                ranges[one.site_id, address] = min(first, at), max(last, at)
    return [
        {"site_id": site_id, "address": address, "first_at": first, "last_at": last}
        for (site_id, address), (first, last) in ranges.items()
    ]


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()
