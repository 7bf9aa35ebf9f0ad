"""What a contract counts as downtime, and when it is in force: dated terms as an interval map. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from typing import NamedTuple

from app.availability.contract_tally import PARENT
from app.availability.intervals import FOREVER, IntervalMap, clip
from app.core.clock import WITA, midnight, to_slot
from app.registry.models import LinkRole

DAY_S = 86_400
WITA_S = round(WITA.utcoffset(None).total_seconds())


class TermsKey(NamedTuple):
    """Which contract a site is under, for which link, and which of its terms: those that began on `terms_on`."""

    contract_id: int = 0
    link_role: LinkRole = LinkRole.PRIMARY
    terms_on: date = date.min


NO_TERMS = TermsKey()


@dataclass(frozen=True, slots=True)
class ContractPolicy:
    sla_target_pct: Decimal
    min_outage_s: int = 0
    excluded_causes: frozenset[str] = frozenset()
    excuses_parent: bool = False
    service_from: time | None = None  # WITA; without it, all day
    service_to: time | None = None  # if before service_from, past midnight
    degraded_counts: bool = False  # as downtime
    terms: TermsKey = NO_TERMS

    def for_link(self, link_role: LinkRole) -> "ContractPolicy":
        is_for_it = self.terms.link_role is link_role
        return self if is_for_it else replace(self, terms=self.terms._replace(link_role=link_role))

    def exclusion(self, kind: str, cause: str | None) -> str | None:
        """Return why downtime does not count however long it was, None if it may: a cause comes before the parent."""
        if cause is not None and cause in self.excluded_causes:
            return cause
        return PARENT if kind == "unreachable" and self.excuses_parent else None


SitePolicies = Sequence[IntervalMap[ContractPolicy]]  # a map for each link role that has any, the primary first


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    policy: ContractPolicy
    in_service_hours: bool


@dataclass(frozen=True, slots=True)
class DatedContract:
    """The days a contract is valid, and its policies by the day each starts on, in order."""

    valid_from: date
    valid_to: date | None  # exclusive
    dated_policies: list[tuple[date, ContractPolicy]]

    @property
    def policies(self) -> IntervalMap[ContractPolicy]:
        starts = [to_slot(midnight(day)) for day, _ in self.dated_policies]
        ends = [*starts[1:], FOREVER]
        until = FOREVER if self.valid_to is None else to_slot(midnight(self.valid_to))
        unlimited = [(a, b, policy) for a, b, (_, policy) in zip(starts, ends, self.dated_policies, strict=True)]
        return clip(unlimited, to_slot(midnight(self.valid_from)), until)


def policies_in_force(policies: IntervalMap[ContractPolicy], low: int, high: int) -> IntervalMap[PolicyInForce]:
    """Return the policies from low to high, cut at the edges of their service hours."""
    result: IntervalMap[PolicyInForce] = []
    for start, end, policy in clip(policies, low, high):
        done = start
        for opens, closes in _service_hours(policy, start, end):
            if done < opens:
                result.append((done, opens, PolicyInForce(policy, False)))
            result.append((opens, closes, PolicyInForce(policy, True)))
            done = closes
        if done < end:
            result.append((done, end, PolicyInForce(policy, False)))
    return result


def _service_hours(policy: ContractPolicy, start: int, end: int) -> Iterator[tuple[int, int]]:
    opens, closes = policy.service_from, policy.service_to
    if opens is None or closes is None or opens == closes:
        yield start, end
        return
    length = (_second_of_day(closes) - _second_of_day(opens)) % DAY_S
    day = (start + WITA_S) // DAY_S - 1  # the previous day's hours may end after midnight
    while (low := day * DAY_S - WITA_S + _second_of_day(opens)) < end:
        if low + length > start:
            yield max(low, start), min(low + length, end)
        day += 1


def _second_of_day(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second
