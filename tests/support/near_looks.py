"""Looks of a scenario's sites at what lies near their devices."""

from app.measurements import near_looks
from app.measurements.near import Near
from app.postgres.engine import transaction
from tests.support.incident_scenario import IncidentScenario

WELL = Near(True, True, True)


async def write_looks(scenario: IncidentScenario, site: int, *looks: tuple[int, bool, Near]) -> None:
    """Store looks as (second, lost, what was seen)."""
    async with transaction(scenario.sessions) as session:
        rows = [
            {"site_id": site, "slot": scenario.at(second), "lost": lost, **near._asdict()}
            for second, lost, near in looks
        ]
        await near_looks.record(session, rows)
