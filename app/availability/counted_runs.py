"""The downtimes of a period as its contracts count them: what counts of each, and why the rest does not. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.availability.contract_tally import UNKNOWN, ContractTally
from app.availability.contract_words import why_in_words
from app.availability.policy import ContractPolicy, TermsKey
from app.availability.slices import Run, Slice
from app.registry.models import State

NOT_KNOWN = {State.UNKNOWN, "inactive"}  # the latter: unheard outside public hours, which contracts count as unknown


@dataclass(slots=True)
class CountedRun:
    """A run as one contract counts it within the period."""

    run: Run
    policy: ContractPolicy
    tally: ContractTally = field(default_factory=ContractTally)
    contested_s: int = 0  # of the unknown seconds: seen down, but not so by the site's device

    @property
    def compared_s(self) -> int:
        """Return what the least duration of the terms is compared with."""
        length = self.run.lengths.get(self.policy.terms.link_role)
        return 0 if length is None else length.proven_s

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "counted_s": self.tally.counted_down_s,
            "excluded": dict(sorted(self.tally.excluded.items())),
            "unknown_s": self.tally.unknown_s,
            "compared_s": self.compared_s,
            "min_outage_s": self.policy.min_outage_s,
            "why": why_in_words(self.tally, self.compared_s, self.policy.min_outage_s),
        }


def counted_runs(slices: Iterable[Slice], *, by_terms: bool = False) -> list[CountedRun]:
    """Return each downtime of the slices under each of its contracts, and degraded time where the terms count it.

    `by_terms`: one that crosses a change of terms has a part under each of them.
    """
    found: dict[tuple[Run, TermsKey], CountedRun] = {}
    for slice_ in slices:
        for contract in slice_.contracts if slice_.run is not None else ():
            policy = contract.policy
            if slice_.run is None or (slice_.run.is_degraded and not policy.degraded_counts):
                continue
            key = policy.terms if by_terms else policy.terms._replace(terms_on=date.min)
            counted = found.setdefault((slice_.run, key), CountedRun(slice_.run, policy))
            counted_as = contract.counted_as
            counted.tally.add(slice_.length_s, counted_as, claimed=slice_.claimed)
            if counted_as == UNKNOWN and (slice_.claimed or slice_.kind not in NOT_KNOWN):
                counted.contested_s += slice_.length_s
    return sorted(found.values(), key=lambda counted: counted.run.started_at)
