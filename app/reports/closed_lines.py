"""A contract's sites in a month as the month was closed, corrections included; refused until all of it is closed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close, site_history
from app.availability.closed_verdicts import Figures, closed_verdicts
from app.availability.contract_annex import CountedSite, count_sites
from app.availability.contract_verdict import ContractName, contract_verdicts
from app.availability.intervals import IntervalMap, clip
from app.availability.site_history import SiteRef
from app.core.clock import WITA, to_slot
from app.core.errors import Conflict, Fault
from app.core.periods import Period, whole_month
from app.judging.invalidation import CLOSES_AFTER_DAYS
from app.postgres.engine import among
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Contract, LinkRole, Site, SiteContract

NAMED = 5  # sites that a refusal names


class LiveLine(NamedTuple):
    """What the contract counts of a site and link as known now."""

    figures: Figures
    terms_on: date  # the first terms in force in the month
    outages: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ClosedLine:
    """What the contract counts of a site and link: by the latest correction, if there is one, else as it was closed."""

    site_id: int
    link_role: LinkRole
    figures: Figures
    configurations: IntervalMap[ConfigurationInForce]
    live: LiveLine | None  # None: the contract does not cover it, as known now
    closed_at: datetime | None = None  # None: it was out of service all the time, so there was nothing to close
    published: Figures | None = None  # as closed, if that was corrected

    @property
    def outages(self) -> Sequence[dict[str, Any]]:
        return () if self.live is None else self.live.outages

    @property
    def is_gone(self) -> bool:
        """Whether the site turned out not to be under this contract."""
        return self.figures["covered"] is None


async def closed_lines(session: AsyncSession, contract: Contract, month: date, *, now: datetime) -> list[ClosedLine]:
    """Return the lines by site and link. Raises Conflict unless the month is over, closed and settled for all sites.

    1. Find whoever is or was under the contract.
    2. Refuse while corrections are still to be computed.
    3. Count the month as known now, for its outages; refuse sites with time in service that are not closed.
    """
    period = whole_month(month)
    require_over(month, now)
    sites = await _sites(session, contract, period)
    await _require_settled(session, sites, month)
    counted = await count_sites(session, sites, contract.id, period, now=now)
    closed = await monthly_close.closed_rows(session, [site.id for site in sites], period)
    name = ContractName(contract.id, contract.number, contract.provider.slug)
    lines, unclosed = [], []
    for site in sites:
        live = _live_lines(counted[site.id], name, period)
        if (row := closed.get(site.id)) is not None:
            lines += _closed(row, site.id, contract.id, counted[site.id].configurations, live)
        elif any(line.figures["service_s"] for line in live.values()):
            unclosed.append(site.id)
        else:  # out of service all the time: there was nothing to close
            configurations = counted[site.id].configurations
            lines += [ClosedLine(site.id, role, line.figures, configurations, line) for role, line in live.items()]
    if unclosed:
        raise await _refusal(session, unclosed, "not_closed", month)
    if all(line.is_gone for line in lines):
        raise Conflict(faults=[_no_sites(contract, month)])
    return lines


def require_over(month: date, now: datetime) -> None:
    """Raises Conflict until the month may be closed."""
    closes = closes_at(whole_month(month))
    if now < closes:
        raise Conflict(
            faults=[
                Fault(
                    "period",
                    "month_not_over",
                    "{month} is not closed yet",
                    "It closes on {closes}: draft the report after that",
                    values={"month": f"{month:%Y-%m}", "closes": f"{closes.astimezone(WITA):%Y-%m-%d %H:%M} WITA"},
                )
            ]
        )


def closes_at(month: Period) -> datetime:
    """Return from when on the month may be closed."""
    return month.end + timedelta(days=CLOSES_AFTER_DAYS)


async def _sites(session: AsyncSession, contract: Contract, period: Period) -> list[SiteRef]:
    """Return the sites that are or were put under the contract for days of the period; withdrawn ones, too."""
    low, high = (moment.astimezone(WITA).date() for moment in (period.start, period.end))
    under = select(SiteContract.site_id).where(
        SiteContract.contract_id == contract.id,
        SiteContract.started_on < high,
        (SiteContract.ended_on.is_(None)) | (SiteContract.ended_on > low),
    )
    sites = await site_history.list_sites(session, under)
    return sorted(sites, key=lambda site: site.id)


async def _require_settled(session: AsyncSession, sites: Sequence[SiteRef], month: date) -> None:
    stale = await monthly_close.stale_sites(session, [site.id for site in sites], month)
    if stale:
        raise await _refusal(session, stale, "being_recounted", month)


async def _refusal(session: AsyncSession, site_ids: Collection[int], code: str, month: date) -> Conflict:
    codes = list(await session.scalars(select(Site.code).where(among(Site.id, site_ids)).order_by(Site.code)))
    values = {"month": f"{month:%Y-%m}", "count": len(codes), "codes": ", ".join(codes[:NAMED])}
    if code == "being_recounted":
        return Conflict(
            faults=[
                Fault(
                    "period",
                    code,
                    "{month} has changed for {count} sites, and is being counted again: {codes}",
                    "Try again in a few minutes: the corrections will be part of it",
                    values=values,
                )
            ]
        )
    return Conflict(
        faults=[
            Fault(
                "period",
                "month_not_closed",
                "{month} is not closed for {count} sites: {codes}",
                "The worker closes months: see that it runs, and try again",
                values=values,
            )
        ]
    )


def _no_sites(contract: Contract, month: date) -> Fault:
    return Fault(
        "period",
        "no_sites",
        "No site was under contract {number} in {month}",
        "Put its sites under it: POST /contracts/{id}/sites",
        values={"number": contract.number, "month": f"{month:%Y-%m}", "id": contract.id},
    )


def _closed(
    row: Figures,
    site_id: int,
    contract_id: int,
    configurations: IntervalMap[ConfigurationInForce],
    live: dict[LinkRole, LiveLine],
) -> list[ClosedLine]:
    return [
        ClosedLine(
            site_id,
            role := LinkRole(verdict.figures["link_role"]),
            verdict.figures if verdict.correction is None else verdict.correction,
            configurations,
            live.get(role),
            verdict.closed_at,
            None if verdict.correction is None else verdict.figures,
        )
        for verdict in closed_verdicts(row)
        if verdict.figures["contract"]["id"] == contract_id
    ]


def _live_lines(counted: CountedSite, name: ContractName, period: Period) -> dict[LinkRole, LiveLine]:
    lines: dict[LinkRole, LiveLine] = {}
    for figures in contract_verdicts(counted.policies, counted.tallies, {name.id: name}, period):
        role = figures["link_role"]
        terms_on = next(
            policy.terms.terms_on
            for of_role in counted.policies
            for _, _, policy in clip(of_role, to_slot(period.start), to_slot(period.end))
            if policy.terms.link_role is role
        )
        lines[role] = LiveLine(figures, terms_on, [each for each in counted.outages if each["link_role"] is role])
    return lines
