"""Samples: a seed recorded at least a day before its period begins, and the sites that it draws. Never changed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
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
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.core.periods import Period
from app.profiles import Technology
from app.registry.models import Lifecycle, Provider, Site, SiteConfiguration, SiteKind

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
    return await get_sample(session, period, caller=caller)


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


async def get_sample(session: AsyncSession, period: SamplePeriod, *, caller: Caller) -> dict[str, Any]:
    """Return the period's sample with the drawn sites that the caller may see. Raises NotFound without one."""
    sample = await session.get(ComplianceSample, period.name)
    if sample is None:
        raise NotFound("{period} has no sample", values={"period": period.name})
    rows = await session.execute(
        select(SampledSite, Site.code, Site.name, Provider.slug)
        .join(Site, Site.id == SampledSite.site_id)
        .join(Provider, Provider.id == SampledSite.provider_id)
        .where(SampledSite.period == period.name, visible_to(caller, SampledSite))
        .order_by(Provider.slug, SampledSite.technology, SampledSite.rank)
    )
    fields = ("period", "method", "public_text", "public_source", "seed", "starts_on", "ends_on", "recorded_at")
    return {
        **{name: getattr(sample, name) for name in fields},
        "sites": [
            {
                "site_id": drawn.site_id,
                "code": code,
                "name": name,
                "provider": slug,
                "technology": drawn.technology,
                "rank": drawn.rank,
                "of_sites": drawn.of_sites,
            }
            for drawn, code, name, slug in rows
        ],
    }


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
