"""Verdicts of many access points: one for each contract that a site was under, and the sites that were under none.

A verdict speaks of all that a site's contract covers in the period. It is told of where the site was last in service
in that time: of that village, provider and technology alone, so that parts add up to the whole.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, covers
from app.aggregates.selection import SiteGroup
from app.availability import monthly_close, site_history
from app.availability.closed_verdicts import NOTHING_COUNTED, ClosedVerdict, Figures, closed_verdicts
from app.availability.contract_reader import ContractCount, contract_names, contract_tallies
from app.availability.contract_tally import ContractTally
from app.availability.contract_verdict import ContractName, contract_verdicts, hide_contracts
from app.availability.intervals import IntervalMap, clip
from app.availability.policy import SitePolicies, TermsKey
from app.availability.site_history import DatedConfigurations
from app.availability.verdict_counts import VerdictKind
from app.core.clock import to_slot
from app.core.periods import Period
from app.core.words import in_words
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Provider

Tallies = Mapping[TermsKey, ContractTally]


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """What came of a site under a contract, or that it was under none; of a closed month as it was closed."""

    site_id: int
    place: ConfigurationInForce  # where it was last in service
    figures: Figures
    closed_at: datetime | None = None
    correction: Figures | None = None

    @property
    def contract_id(self) -> int | None:
        contract = self.figures["contract"]
        return None if contract is None else contract["id"]

    @property
    def kind(self) -> VerdictKind:
        return _kind(self.figures)

    @property
    def kinds(self) -> set[VerdictKind]:
        """Return what came of it, also by its correction."""
        return {_kind(figures) for figures in (self.figures, self.correction) if figures is not None}

    @property
    def tally(self) -> ContractTally:
        """Return the seconds that count, without those covered."""
        names = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s", "excluded")
        return ContractTally(**{name: self.figures[name] for name in names})


def _kind(figures: Figures) -> VerdictKind:
    if figures["contract"] is None:
        return VerdictKind.NO_CONTRACT
    return VerdictKind(figures["verdict"] or VerdictKind.NO_SERVICE)


async def site_verdicts(
    session: AsyncSession,
    group: SiteGroup,
    period: Period,
    dated: Mapping[int, DatedConfigurations],
    *,
    counted: ContractCount | None = None,
    now: datetime,
) -> list[SiteVerdict]:
    """Return the verdicts of the group's access points; a whole month that is closed as it was closed.

    Of a provider's sites those under its own contracts. `dated`: the configurations of all sites ever in the group.
    `counted`: what `count_along` found, if the period was counted for something else, too.
    """
    if counted is None:
        tallies = await contract_tallies(session, _whole(group, dated, period), period, now=now)
    else:
        tallies = counted.tallies
    by_site: dict[int, dict[TermsKey, ContractTally]] = defaultdict(lambda: defaultdict(ContractTally))
    for key, tally in tallies.items():
        by_site[key.site_id][key.terms].merge(tally)
    policies = await site_history.load_policies(session, dated)
    ids = {terms.contract_id for of_site in by_site.values() for terms in of_site}
    names = await contract_names(session, ids, provider_id=group.provider_id)
    closed = await _closed_rows(session, group, period, dated)

    def judge() -> list[SiteVerdict]:
        return [
            row
            for site_id, site in dated.items()
            for row in _rows(
                site_id,
                site.configurations,
                _verdicts(policies[site_id], by_site[site_id], names, period, closed.get(site_id)),
                period,
            )
            if group.includes(row.place)
        ]

    return await asyncio.to_thread(judge)  # words for thousands of verdicts


def count_along(group: SiteGroup, dated: Mapping[int, DatedConfigurations], period: Period) -> ContractCount | None:
    """Return a count for verdicts to which what the group's own count reads suffices, None if a site moved."""
    return ContractCount(group) if _whole(group, dated, period) == group else None


def _whole(group: SiteGroup, dated: Mapping[int, DatedConfigurations], period: Period) -> SiteGroup:
    """Return a group that holds the whole period of the group's sites, also of one that moved."""
    bounds = to_slot(period.start), to_slot(period.end)
    configurations = (each for site in dated.values() for _, _, each in clip(site.configurations, *bounds))
    stayed = all(covers(group.region, each.village_code) for each in configurations)
    return replace(group, region=group.region if stayed else PROVINCE, technology=None)


async def _closed_rows(
    session: AsyncSession, group: SiteGroup, period: Period, dated: Mapping[int, DatedConfigurations]
) -> dict[int, dict[str, Any]]:
    """Return the stored rows of the month; none of those closed before contracts' figures were stored."""
    closed = await monthly_close.closed_rows(session, dated, period)
    if group.provider_id is not None:
        slug = str(await session.scalar(select(Provider.slug).where(Provider.id == group.provider_id)))
        closed = {site_id: hide_contracts(row, of_others_than=slug) for site_id, row in closed.items()}
    return closed


def _verdicts(
    policies: SitePolicies,
    counted: Tallies,
    names: Mapping[int, ContractName],
    period: Period,
    closed: dict[str, Any] | None,
) -> list[ClosedVerdict]:
    if closed is not None:
        return list(closed_verdicts(closed))
    visible = [
        [dated for dated in of_role if dated[2].terms in counted and dated[2].terms.contract_id in names]
        for of_role in policies
    ]
    return [ClosedVerdict(figures) for figures in contract_verdicts(visible, counted, names, period)]


def _rows(
    site_id: int,
    configurations: IntervalMap[ConfigurationInForce],
    verdicts: Sequence[ClosedVerdict],
    period: Period,
) -> Iterator[SiteVerdict]:
    """Yield a row a verdict; without any, one if the site was in service."""
    for verdict in verdicts:
        covered = verdict.figures["covered"] or {"from": period.start, "to": period.end}
        place = last_place(configurations, _slot(covered["from"]), _slot(covered["to"]))
        yield SiteVerdict(site_id, place, verdict.figures, verdict.closed_at, verdict.correction)
    if not verdicts:
        place = last_place(configurations, to_slot(period.start), to_slot(period.end))
        if place.active:
            reason = in_words("No verdict: the site was under no contract in this period.")
            figures = {"contract": None, "link_role": None, **NOTHING_COUNTED, "reason": reason}
            yield SiteVerdict(site_id, place, figures)


def last_place(configurations: IntervalMap[ConfigurationInForce], start: int, end: int) -> ConfigurationInForce:
    """Return the last configuration that was in service from start to end, if none was the last."""
    within = [configuration for _, _, configuration in clip(configurations, start, end)]
    return next((each for each in reversed(within) if each.active), within[-1])


def _slot(moment: datetime | str) -> int:
    return to_slot(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)
