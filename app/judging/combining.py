"""Combines what several vantages see of one site into one observation a slot. Pure.

A vantage's last look counts until it is older than it is valid for. How the vantages of a slot come to one observation:

1. A vantage whose last look is too old, or our own fault, cannot see. One that the site's own provider hosts does not
   vote while any other one can see.
2. Lost by as many voters as the profile says (`lost_from`; 0: all of them): a timeout. One look of each voter counts
   once: until as many have lost a second one, further looks of few confirm nothing.
3. Lost by fewer: an answer. Where one loses two looks in a row, the site is lost from there (`partial_from`).
4. Round trips and loss are those of the first voter, in the site's order, that has an answer; its look must be of this
   very slot.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from app.core.clock import from_slot
from app.core.freshness import hold_s
from app.judging.judge import Observation
from probes.contract import VANTAGES, Outcome, Reading

MOST_VALID_S = 900  # a look counts for no longer, however seldom its site is looked at


def looks_back_s(interval_s: int) -> int:
    """Return how far before a slot there may be a look that bears on it, where looks are valid for no longer."""
    counts_s = min(interval_s, MOST_VALID_S)
    return counts_s + hold_s(counts_s)


@dataclass(frozen=True, slots=True)
class VantageRule:
    """From where a site is looked at, by the sources of readings, its primary first, and from how many it is lost."""

    sources: tuple[str, ...]
    lost_from: int = 0  # 0: from all that can see
    hosted: frozenset[str] = frozenset()  # by the site's own provider
    interval_s: int = MOST_VALID_S  # of the site's technology: no look is valid for longer, whatever it says

    def voters(self, seeing: Sequence[str]) -> list[str]:
        independent = [source for source in seeing if source not in self.hosted]
        return independent or list(seeing)

    def quorum(self, voters: int) -> int:
        return min(self.lost_from or voters, voters)


class Look(NamedTuple):
    reading: Reading
    observation: Observation  # of this reading alone

    @property
    def is_lost(self) -> bool:
        return self.observation.outcome is Outcome.TIMEOUT


@dataclass(slots=True)
class VantageView:
    """The last look of one vantage, and how many it has lost in a row, two at most."""

    last: Look
    losses: int = 0
    losing_since: datetime | None = None  # slot of the first of those losses
    _lost: Look | None = None  # the last one lost, unless there was an answer since

    def follow(self, look: Look, interval_s: int) -> None:
        self.last = look
        if look.is_lost:
            again = self._lost is not None and _goes_on(self._lost.reading, look.reading, interval_s)
            self.losing_since = self._lost.observation.slot if again and self._lost else look.observation.slot
            self.losses, self._lost = 2 if again else 1, look
        elif look.observation.outcome is Outcome.OK:
            self.losses, self.losing_since, self._lost = 0, None, None

    def can_see(self, slot: int, interval_s: int) -> bool:
        reading = self.last.reading
        is_recent = slot - reading.slot < _counts_s(reading, interval_s) or slot == reading.slot
        return is_recent and self.last.observation.outcome is not Outcome.FAULT


def _goes_on(lost: Reading, next_lost: Reading, interval_s: int) -> bool:
    return next_lost.slot - lost.slot <= hold_s(_counts_s(next_lost, interval_s))


def _counts_s(reading: Reading, interval_s: int) -> int:
    return min(reading.valid_s, interval_s, MOST_VALID_S)


@dataclass(slots=True)
class Combiner:
    """Follows the looks at one site, in the order of their slots."""

    views: dict[str, VantageView] = field(default_factory=dict)  # by source

    def combine(self, looks: Sequence[Look], rule: VantageRule) -> tuple[Reading, Observation]:
        """Return what the looks of one slot come to, beside those before, and the reading that is shown for it."""
        slot = looks[0].reading.slot
        was_lost = self._losses(slot, rule) > 0
        for look in looks:
            self._follow(look, rule.interval_s)
        losses, voters = self._losses(slot, rule), self._voters(slot, rule)
        at = {look.reading.source: look for look in looks if look.reading.source in voters}
        at = {
            source: at[source]
            for source in voters
            if source in at and at[source].observation.outcome is not Outcome.FAULT
        }
        if not at or (losses == 1 and was_lost):
            return looks[0].reading, replace(looks[0].observation, outcome=Outcome.FAULT)
        if losses:
            return self._lost(list(at.values()))
        return self._answered(slot, rule, at)

    def _follow(self, look: Look, interval_s: int) -> None:
        source = look.reading.source
        if source not in self.views:
            self.views[source] = VantageView(look)
        self.views[source].follow(look, interval_s)

    def seeing(self, slot: int, rule: VantageRule) -> list[str]:
        own = (source for source in rule.sources if source in self.views)
        return [source for source in own if self.views[source].can_see(slot, rule.interval_s)]

    def _voters(self, slot: int, rule: VantageRule) -> list[str]:
        return rule.voters(self.seeing(slot, rule))

    def _losses(self, slot: int, rule: VantageRule) -> int:
        """Return how many looks in a row as many voters have lost as make an outage: 0, 1, or 2 for more."""
        voters = self._voters(slot, rule)
        losses = sorted((self.views[source].losses for source in voters), reverse=True)
        return losses[rule.quorum(len(voters)) - 1] if voters else 0

    def _lost(self, looks: Sequence[Look]) -> tuple[Reading, Observation]:
        """Return a timeout; it lies behind the parent if any of the lost looks does."""
        lost = [look for look in looks if look.is_lost] or looks
        first = replace(lost[0].reading, outcome=Outcome.TIMEOUT, rtt_us=())
        behind = any(look.observation.behind for look in lost)
        observation = replace(lost[0].observation, outcome=Outcome.TIMEOUT, behind=behind, received=0, rtt_us=0)
        return first, replace(observation, valid_s=_valid_s(looks), answered_after_s=0)

    def _answered(self, slot: int, rule: VantageRule, at: Mapping[str, Look]) -> tuple[Reading, Observation]:
        """Return an answer; without round trips where the first voter with one was not asked in this slot."""
        voters = self._voters(slot, rule)
        losing = tuple(source for source in voters if self.views[source].losses)
        confirmed = [self.views[source].losing_since for source in losing if self.views[source].losses > 1]
        shown = next(source for source in voters if not self.views[source].losses)
        looks = list(at.values())
        answers = [look for look in looks if not look.is_lost]
        observation = replace(
            looks[0].observation,
            outcome=Outcome.OK,
            valid_s=_valid_s(looks),
            behind=False,
            lost_from=losing,
            partial_from=min(filter(None, confirmed), default=None),
            answered_after_s=min((look.observation.answered_after_s for look in answers), default=0),
        )
        if shown not in at:
            return replace(looks[0].reading, sent=0, rtt_us=()), replace(observation, sent=0, received=0, rtt_us=0)
        of = at[shown].observation
        return at[shown].reading, replace(observation, sent=of.sent, received=of.received, rtt_us=of.rtt_us)


def _valid_s(looks: Sequence[Look]) -> int:
    return max(look.observation.valid_s for look in looks)


def by_slot(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Yield the readings of each slot; they come in the order of their slots."""
    for _, of_slot in groupby(readings, key=lambda reading: reading.slot):
        yield list(of_slot)


def combined(
    readings: Iterable[Reading],
    observe: Callable[[Reading], Observation],
    rule_at: Callable[[datetime], VantageRule | None],
) -> Iterator[tuple[Reading, Observation | None]]:
    """Yield each reading that is shown, and what it is judged as: None where a reading is judged by itself.

    `readings`: in the order of their slots. `rule_at`: None where a single vantage looks. What is read from a vantage
    that the site is not looked at from in that slot says nothing.
    """
    combiner = Combiner()
    for of_slot in by_slot(readings):
        rule, looks = rule_at(from_slot(of_slot[0].slot)), list[Look]()
        for reading in of_slot:
            if rule is None or reading.source not in VANTAGES:
                yield reading, None
            elif reading.source in rule.sources:
                looks.append(Look(reading, observe(reading)))
        if rule is not None and looks:
            yield combiner.combine(looks, rule)
