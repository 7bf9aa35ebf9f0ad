"""Samples: a seed recorded at least a day before its period begins, and the sites that it draws. Never changed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, visible_to
from app.compliance.method import METODE_V1, Method
from app.compliance.models import ComplianceSample, SampledSite
from app.compliance.period import SamplePeriod
from app.compliance.sample_draw import draw, seed_of
from app.compliance.sample_schemas import SampleIn
from app.core.clock import midnight, to_wita
from app.core.errors import Conflict, Fault, Invalid
from app.core.periods import Period
from app.profiles import Technology
from app.registry.models import Lifecycle, Provider, Site, SiteConfiguration, SiteKind

FIELDS = ("period", "method", "public_text", "public_source", "seed", "starts_on", "ends_on", "recorded_at")
NOTICE, FURTHEST = timedelta(days=1), timedelta(days=100)  # before the period begins


async def record_sample(
    session: AsyncSession, body: SampleIn, period: SamplePeriod, *, caller: Caller, now: datetime
) -> dict[str, Any]:
    """Store a period's seed, draw its sites. Raises Invalid if it is too late or too early, Conflict if it has one."""
    _require_in_time(period, now)
    method = METODE_V1
    seed = seed_of(method, period.name, body.public_text)
    added = await session.scalar(
        upsert(ComplianceSample)
        .values(
            period=period.name,
            method=method.version,
            public_text=body.public_text,
            public_source=body.public_source,
            seed=seed,
            starts_on=period.starts_on,
            ends_on=period.ends_on,
            recorded_at=now,
            recorded_by=caller.who,
        )
        .on_conflict_do_nothing()
        .returning(ComplianceSample.period)
    )
    if added is None:
        raise Conflict(
            "{period} has a sample already, and a published sample is never changed", values={"period": period.name}
        )
    drawn = await _draw(session, seed, method, period.name)
    if drawn:
        await session.execute(insert(SampledSite), drawn)
    await audit.record(
        session,
        caller,
        "create",
        "sample",
        period.name,
        region_code=PROVINCE,
        after={"seed": seed, "public_text": body.public_text, "drawn": len(drawn)},
    )
    recorded = await list_samples(session, period=period, before=None, limit=1)
    return (await with_sites(session, recorded, caller=caller))[0]


def _require_in_time(period: SamplePeriod, now: datetime) -> None:
    begins = midnight(period.starts_on)
    values = {"begins": to_wita(begins).isoformat(), "period": period.name}
    if now > begins - NOTICE:
        raise Invalid(
            Fault(
                "period",
                "too_late",
                "{period} begins at {begins}: its seed had to be recorded a day before",
                "Record the next period's",
                values=values,
            )
        )
    if now < begins - FURTHEST:
        raise Invalid(
            Fault(
                "period",
                "too_early",
                "{period} begins at {begins}: its sites are not known yet",
                "Record it within {days} days before it begins",
                values=values | {"days": FURTHEST.days},
            )
        )


async def _draw(session: AsyncSession, seed: str, method: Method, period: str) -> list[dict[str, Any]]:
    """Return the drawn rows of each provider and technology: of access points in service or planned now."""
    configured = SiteConfiguration
    rows = await session.execute(
        select(Site.id, Site.code, configured.provider_id, configured.technology, configured.village_code)
        .join(configured, configured.site_id == Site.id)
        .where(
            configured.ended_at.is_(None),
            configured.kind == SiteKind.ACCESS_POINT,
            configured.lifecycle.in_([Lifecycle.ACTIVE, Lifecycle.PLANNED]),
        )
    )
    groups: dict[tuple[int, Technology], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        groups[row.provider_id, row.technology][row.code] = row
    return [
        {
            "period": period,
            "site_id": of_group[code].id,
            "provider_id": provider_id,
            "technology": technology,
            "village_code": of_group[code].village_code,
            "of_sites": len(of_group),
            "rank": rank,
        }
        for (provider_id, technology), of_group in groups.items()
        for rank, code in enumerate(draw(seed, of_group, method), 1)
    ]


async def list_samples(
    session: AsyncSession,
    *,
    period: SamplePeriod | None,
    before: tuple[date, str] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return samples without their sites, the latest period first, those after the position `before`."""
    sample = ComplianceSample
    query = select(sample).order_by(sample.starts_on.desc(), sample.period.desc()).limit(limit)
    if period is not None:
        query = query.where(sample.period == period.name)
    if before is not None:
        query = query.where(tuple_(sample.starts_on, sample.period) < before)
    return [{name: getattr(row, name) for name in FIELDS} for row in await session.scalars(query)]


async def with_sites(
    session: AsyncSession, samples: Sequence[dict[str, Any]], *, caller: Caller
) -> list[dict[str, Any]]:
    """Return the samples with the drawn sites that the caller may see, by provider, technology and rank."""
    drawn = SampledSite
    rows = await session.execute(
        select(drawn, Site.code, Site.name, Provider.slug)
        .join(Site, Site.id == drawn.site_id)
        .join(Provider, Provider.id == drawn.provider_id)
        .where(drawn.period.in_([sample["period"] for sample in samples]), visible_to(caller, drawn))
        .order_by(Provider.slug, drawn.technology, drawn.rank)
    )
    sites: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row, code, name, slug in rows:
        sites[row.period].append(
            {
                "site_id": row.site_id,
                "code": code,
                "name": name,
                "provider": slug,
                "technology": row.technology,
                "rank": row.rank,
                "of_sites": row.of_sites,
            }
        )
    return [{**sample, "sites": sites[sample["period"]]} for sample in samples]


async def drawn_sites(session: AsyncSession, period: Period) -> tuple[str | None, Sequence[int]]:
    """Return the name of the shortest sample that covers the whole period, and its sites; (None, ()) without one."""
    first, next_ = to_wita(period.start).date(), to_wita(period.end).date()
    name = await session.scalar(
        select(ComplianceSample.period)
        .where(ComplianceSample.starts_on <= first, ComplianceSample.ends_on >= next_)
        .order_by(ComplianceSample.ends_on - ComplianceSample.starts_on)
        .limit(1)
    )
    if name is None:
        return None, ()
    return name, (await session.scalars(select(SampledSite.site_id).where(SampledSite.period == name))).all()
