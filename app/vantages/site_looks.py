"""What each vantage last saw of one site."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot
from app.judging import judge_context
from app.judging.blind_ranges import BLINDNESS_SOURCE
from app.judging.combining import Combiner, Look, VantageRule, by_slot
from app.judging.fold import fold_order, median_us
from app.measurements import reader
from app.registry.models import Site
from app.vantages.models import Vantage
from probes.contract import VANTAGES, Outcome

BACK = timedelta(hours=6)  # how far looks are looked for
UNDERWAY_S = 30  # of a look: until it is done and delivered


async def read_site_looks(session: AsyncSession, site: Site, now: datetime) -> list[dict[str, Any]]:
    """Return the fields of a SiteVantageOut of each vantage of the site, its primary first."""
    sources = [VANTAGES[number] for number in site.vantages]
    block = await reader.read(session, [(site.id, now - BACK, now + timedelta(seconds=1))], sources=sources)
    context = (await judge_context.load(session, [site.id], BLINDNESS_SOURCE, now - BACK, now))[site.id]
    rule = context.vantage_rule(now) or VantageRule(tuple(sources))
    combiner, looks = Combiner(), defaultdict[str, list[Look]](list)
    for of_slot in by_slot(sorted(block.readings(), key=fold_order)):
        own = [Look(reading, context.observe(reading)) for reading in of_slot]
        for look in own:
            looks[look.reading.source].append(look)
        combiner.combine(own, rule)
    seeing = combiner.seeing(to_slot(now) - UNDERWAY_S, rule) if combiner.views else []
    named = {row.number: row for row in await session.scalars(select(Vantage))}
    return [
        {
            "vantage": number,
            "name": named[number].name if number in named else None,
            "label": named[number].label if number in named else None,
            "is_primary": number == site.vantages[0],
            "is_hosted": source in rule.hosted,
            "decides": source in rule.voters(seeing),
            **_last(looks[source]),
        }
        for number, source in zip(site.vantages, sources, strict=True)
    ]


def _last(looks: Sequence[Look]) -> dict[str, Any]:
    if not looks:
        return dict.fromkeys(("last_look_at", "outcome", "rtt_ms", "lost_since"))
    reading, observation = looks[-1]
    return {
        "last_look_at": from_slot(reading.slot),
        "outcome": observation.outcome,
        "rtt_ms": round(median_us(reading) / 1000, 3) if reading.rtt_us else None,
        "lost_since": _lost_since(looks),
    }


def _lost_since(looks: Sequence[Look]) -> datetime | None:
    """Return the first of the lost looks since the last answer; None where it answered last."""
    first = None
    for look in reversed(looks):
        if look.observation.outcome is Outcome.OK:
            break
        if look.is_lost:
            first = from_slot(look.reading.slot)
    return first
