"""Read all that was measured of a group's lines in a period: contracts' seconds, speed tests, looks."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.availability import site_history
from app.availability.site_verdicts import SiteVerdict, site_verdicts
from app.compliance.left_out_hours import left_out_stretches
from app.compliance.line import Line, LineKey, SpeedTier
from app.compliance.look_results import add_looks
from app.compliance.method import Method
from app.compliance.speed_results import add_tests, tiers_of
from app.core.periods import Period
from app.profiles import Technology
from app.registry.models import LinkRole

Lines = dict[LineKey, Line]


async def read_lines(
    session: AsyncSession, group: SiteGroup, period: Period, method: Method, *, now: datetime
) -> Lines:
    """Return the lines of the group that were in service under a contract or without, were tested or looked at."""
    lines: defaultdict[LineKey, Line] = defaultdict(Line)
    sites = await site_history.list_sites(session, group.site_ids)
    dated = await site_history.load_configurations(session, [site.id for site in sites])
    for row in await site_verdicts(session, group, period, dated, now=now):
        key = LineKey(row.site_id, row.place.provider_id, Technology(row.place.technology))
        lines[key].verdicts.append(row)
    for line in lines.values():
        line.verdicts = _of_the_measured_link(line.verdicts)
    await add_tests(session, lines, group, period, method)
    await add_looks(session, lines, group, period, method, await left_out_stretches(session, dated, period))
    tiers = await tiers_of(session, sorted({key.site_id for key in lines}), period.start, period.end)
    return {key: replace(line, tier=tiers.get(key.site_id, SpeedTier())) for key, line in lines.items()}


def _of_the_measured_link(verdicts: list[SiteVerdict]) -> list[SiteVerdict]:
    """Leave the backup link's out where the primary one has a contract: one link of a site is measured."""
    primary = [row for row in verdicts if row.figures["link_role"] != LinkRole.BACKUP]
    return primary or verdicts
