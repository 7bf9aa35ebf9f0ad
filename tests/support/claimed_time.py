"""What a device reports of a time in which nobody heard it, read back."""

from typing import Any

from sqlalchemy import text

from app.postgres.engine import transaction
from tests.support.pushing_sites import Field

INVENTED = [(second, 3) for second in range(360, 1100, 60)]


async def claims(field: Field, site_id: int) -> list[tuple[int | None, int | None]]:
    async with transaction(field.sessions) as session:
        query = text("SELECT started_at, ended_at FROM claim WHERE site_id = :id ORDER BY started_at")
        rows = (await session.execute(query, {"id": site_id})).all()
    return [(field.second(start), field.second(end)) for start, end in rows]


async def cut_off(field: Field) -> int:
    """A site whose agent stops at 300, while the others are heard until 1080."""
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 1080, sites=others)
    return silent


async def readings(field: Field, site_id: int, source: str) -> list[tuple[int | None, str, str | None]]:
    items = (await field.get(f"/sites/{site_id}/measurements", period="2h", limit=1000))["items"]
    return [(field.second(one["slot"]), one["outcome"], one["reason"]) for one in items if one["source"] == source]


async def incident_of(field: Field) -> dict[str, Any]:
    (incident,) = (await field.get("/incidents"))["items"]
    return await field.get(f"/incidents/{incident['id']}")  # type: ignore[no-any-return]


async def figures(field: Field, site_id: int, first: float, last: float) -> dict[str, int]:
    total = await field.uptime(site_id, first, last)
    return {name: seconds for name, seconds in total["seconds"].items() if seconds}
