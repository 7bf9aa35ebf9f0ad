"""A quarter in one answer: service quality, use, response times, decisions, and what villagers answered."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller
from app.aggregates.selection import SiteGroup
from app.availability.child_regions import uptime_of_children
from app.availability.group_uptime import group_uptime
from app.core.clock import WITA, midnight
from app.core.periods import Period, Step
from app.core.words import Bilingual, in_words
from app.registry import regions
from app.reviews import decisions, satisfaction
from app.reviews.models import ReviewDecision
from app.reviews.quarter import bounds_of
from app.reviews.response_times import response_times
from app.reviews.satisfaction import Satisfaction

VERSION = text("""
    SELECT (SELECT count(*) FROM review_decision WHERE period = :name),
        (SELECT coalesce(sum(answers), 0) FROM survey_day WHERE day >= :first AND day < :next),
        (SELECT coalesce(max(version), 0) FROM incident WHERE started_at >= :start AND started_at < :end)
""")
VILLAGES_AT = text("""
    SELECT count(DISTINCT site_id) AS sites, count(DISTINCT village_code) AS villages FROM site_configuration
    WHERE kind = 'access_point' AND lifecycle = 'active' AND started_at <= :at AND coalesce(ended_at > :at, true)
        AND (village_code = :region OR :region = '64' OR village_code ^@ (:region || '.'))
        AND (cast(:provider_id AS int) IS NULL OR provider_id = :provider_id)
""")


async def read_review(
    session: AsyncSession, name: str, period: Period, group: SiteGroup, *, caller: Caller, now: datetime
) -> dict[str, Any]:
    """Return the fields of ReviewOut. Providers read their own figures alone: no decision, no satisfaction."""
    service = await group_uptime(session, group, period, Step.MONTH, now=now)
    below = await uptime_of_children(session, group, period, now=now)
    of_offices = caller.provider_id is None
    return {
        "period": name,
        "from": period.start,
        "to": period.end,
        "settled_until": service["settled_until"],
        "region": group.region,
        "service": {"months": service["series"], "total": service["total"], "regions": below["items"]},
        "use": await _use(session, group, period),
        "response": await response_times(session, group.region, period, caller=caller),
        "decisions": [as_fields(row) for row in await decisions.list_decisions(session, name)] if of_offices else [],
        "satisfaction": await _satisfaction(session, name, group.region) if of_offices else None,
        "notes": list(_notes(name, now, of_offices=of_offices)),
    }


async def version_of(session: AsyncSession, name: str) -> tuple[int, ...]:
    """Return what changes with every decision, every answer, and every change of an incident of the quarter."""
    first, following = bounds_of(name)
    values = {"name": name, "first": first, "next": following, "start": midnight(first), "end": midnight(following)}
    return tuple(int(value) for value in (await session.execute(VERSION, values)).one())


def as_fields(row: ReviewDecision) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "text", "decided_by", "decided_at")}


async def _use(session: AsyncSession, group: SiteGroup, period: Period) -> dict[str, Any]:
    """Return the access points and villages in service at the period's end; nobody counts who uses them."""
    values = {"at": period.end - timedelta(seconds=1), "region": group.region, "provider_id": group.provider_id}
    row = (await session.execute(VILLAGES_AT, values)).one()
    all_villages = sum(
        of["level"] == "desa_kelurahan" and of["valid_to"] is None and _is_within(of["code"], group.region)
        for of in regions.read_csv()
    )
    return {"access_points": row.sites, "villages": row.villages, "villages_in_region": all_villages, "clients": None}


def _is_within(code: str, region: str) -> bool:
    return region == PROVINCE or code == region or code.startswith(f"{region}.")


async def _satisfaction(session: AsyncSession, name: str, region: str) -> dict[str, Any]:
    first, following = bounds_of(name)
    children = regions.children(region)
    length = len(children[0]) if children else len(region)
    answers = await satisfaction.by_region(session, region, first, following - timedelta(days=1), length=length)
    total = Satisfaction(
        sum(of.answers for of in answers.values()),
        sum(of.benefit for of in answers.values()),
        sum(of.cost for of in answers.values()),
    )
    rows = [{"code": code, "name": regions.names()[code], **of.fields} for code, of in answers.items()]
    return total.fields | {"regions": rows}


def _notes(name: str, now: datetime, *, of_offices: bool) -> list[Bilingual]:
    notes = [in_words("How many people use the access points is not counted.")]
    if now.astimezone(WITA).date() < bounds_of(name)[1]:
        notes.append(in_words("The quarter is not over: these are the figures up to now."))
    if of_offices:
        notes.append(
            in_words(
                "Answers come from people who chose to answer: they are no sample, and count in no contract. "
                "Fewer than {n} have no mean.",
                n=satisfaction.LEAST_ANSWERS,
            )
        )
    return notes
