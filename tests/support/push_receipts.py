"""Push receipts of boots, as pushes leave them."""

from sqlalchemy import text

from app.postgres.engine import transaction
from tests.support.incident_scenario import IncidentScenario


async def add_receipt(
    scenario: IncidentScenario, site: int, boot: str, *, booted: int | None, first: int, last: int
) -> None:
    """Insert or update the push receipt of a boot, times in seconds after the start."""
    async with transaction(scenario.sessions) as session:
        await session.execute(
            text(
                "INSERT INTO push_receipt (site_id, boot, seen, booted_at, first_at, last_at) "
                "VALUES (:site, :boot, '{[1,2)}', :booted, :first, :last) ON CONFLICT (site_id, boot) "
                "DO UPDATE SET booted_at = excluded.booted_at, last_at = excluded.last_at"
            ),
            {
                "site": site,
                "boot": boot,
                "booted": None if booted is None else scenario.at(booted),
                "first": scenario.at(first),
                "last": scenario.at(last),
            },
        )
