"""Derive a site's outages from its ledger, and match them with the outages already recorded in incidents. Pure.

An outage starts when a site is seen down and ends with its next answer, or with the end of its service. It continues
through stretches in which nobody looked or its parent was down: silence resolves nothing. `cut_downtimes` alone decides
this, for incidents and for whatever is counted (docs/adr/0020-one-outage.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from app.judging.claims import Claim
from app.judging.judge import BAD, GOOD
from app.registry.models import State

FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)

T = TypeVar("T", int, datetime)


class TimeRange(Protocol):
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


R = TypeVar("R", bound=TimeRange)


@dataclass(frozen=True, slots=True)
class LedgerSegment:
    """A segment of the ledger; `last_loss_at` is the newest evidence where it is open."""

    started_at: datetime
    ended_at: datetime | None
    state: State
    last_ok_at: datetime | None = None
    confirmed_at: datetime | None = None
    first_ok_after: datetime | None = None
    last_loss_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServicePeriod:
    """A period in which the site was in service without a break."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outage:
    started_at: datetime
    last_ok_at: datetime | None
    confirmed_at: datetime | None
    ended_at: datetime | None
    first_ok_after: datetime | None
    last_loss_at: datetime | None
    unseen_s: int
    refuted_at: datetime | None = None  # when its device first claimed to have been well
    refuted_s: int = 0  # how much of it that claims

    @property
    def proven_s(self) -> int | None:
        """Return the seconds from the first loss to the last, less those in which it was not seen down."""
        if self.last_loss_at is None:
            return None
        return max(0, round((self.last_loss_at - self.started_at).total_seconds()) - self.unseen_s)


class Downtime(NamedTuple, Generic[T]):
    """From the first state that is down or unreachable to the next answer, or to the end of service.

    Its outage is what follows from the first `down` on; where the site was unreachable alone there is none.
    """

    started_at: T
    ended_at: T
    answered: bool  # False: the service ended first, or it lasts
    states: range  # their indices
    first_down: int | None  # index of the state with which the outage begins
    outage_at: T | None


def cut_downtimes(states: Sequence[tuple[T, T, State]], service: Iterable[tuple[T, T]]) -> Iterator[Downtime[T]]:
    """Yield the downtimes of each period of service; both hold (start, end, …) in order of time without overlap."""
    for low, high in service:
        first: int | None = None
        number = 0
        for number, (start, end, state) in enumerate(states):
            if end <= low:
                continue
            if start >= high:
                break
            if state in GOOD and first is not None:
                yield _downtime(states, range(first, number), low, start, answered=True)
                first = None
            elif state in BAD and first is None:
                first = number
        else:
            number = len(states)
        if first is not None:
            yield _downtime(states, range(first, number), low, min(high, states[number - 1][1]), answered=False)


def _downtime(states: Sequence[tuple[T, T, State]], indices: range, low: T, end: T, *, answered: bool) -> Downtime[T]:
    first_down = next((number for number in indices if states[number][2] is State.DOWN), None)
    outage_at = None if first_down is None else max(low, states[first_down][0])
    return Downtime(max(low, states[indices[0]][0]), end, answered, indices, first_down, outage_at)


def derive_outages(
    segments: Sequence[LedgerSegment], periods: Sequence[ServicePeriod], claims: Sequence[Claim] = ()
) -> list[Outage]:
    """Return the outages in order of time, with what claims of their device refute of them."""
    states = [(segment.started_at, _end(segment), segment.state) for segment in segments]
    outages = []
    for period in periods:
        for downtime in cut_downtimes(states, [(period.started_at, _end(period))]):
            if downtime.first_down is not None:
                run = [_clipped(segments[n], period) for n in range(downtime.first_down, downtime.states.stop)]
                ended_at = downtime.ended_at if downtime.answered else period.ended_at
                outages.append(_refuted(_outage(run, ended_at, answered=downtime.answered), run, claims))
    return outages


def _clipped(segment: LedgerSegment, period: ServicePeriod) -> LedgerSegment:
    start, end = max(segment.started_at, period.started_at), min(_end(segment), _end(period))
    return replace(segment, started_at=start, ended_at=None if end == FAR_AHEAD else end)


def _outage(run: Sequence[LedgerSegment], ended_at: datetime | None, *, answered: bool) -> Outage:
    first, last = run[0], next(segment for segment in reversed(run) if segment.state is State.DOWN)
    unseen = (segment for segment in run[: run.index(last)] if segment.state is not State.DOWN)
    last_loss_at = None
    if last.ended_at is not None:
        last_loss_at = max(last.last_loss_at or last.confirmed_at or last.started_at, last.started_at)
    return Outage(
        first.started_at,
        first.last_ok_at,
        first.confirmed_at,
        ended_at,
        (run[-1].first_ok_after or ended_at) if answered else None,
        last_loss_at,
        round(sum((_end(segment) - segment.started_at).total_seconds() for segment in unseen)),
    )


def _refuted(outage: Outage, run: Sequence[LedgerSegment], claims: Sequence[Claim]) -> Outage:
    """Return the outage with what claims refute of it: no part of the least that it can have lasted.

    Rows measured after the last loss, before the push that ended it, change nothing: each honest device has some.
    """
    down = [segment for segment in run if segment.state in BAD]
    refuting = [claim for claim in claims if any(overlap_s(claim, segment) > 0 for segment in down)]
    proven = [replace(segment, ended_at=min(_end(segment), outage.last_loss_at or FAR_AHEAD)) for segment in down]
    if not any(overlap_s(claim, segment) > 0 for claim in refuting for segment in proven):
        return outage
    refuted_s = {
        name: sum(max(0, overlap_s(claim, segment)) for claim in refuting for segment in segments)
        for name, segments in (("of all", down), ("of down", [s for s in proven if s.state is State.DOWN]))
    }
    return replace(
        outage,
        unseen_s=outage.unseen_s + round(refuted_s["of down"]),
        refuted_at=min(claim.received_at for claim in refuting),
        refuted_s=round(refuted_s["of all"]),
    )


def match_outages(known: Sequence[R], outages: Sequence[Outage]) -> list[tuple[R, Outage]]:
    """Pair each known outage with the derived one that continues it; neither list overlaps in itself.

    An outage that was split keeps its identity in the earlier part. Of outages that were merged the earlier identity
    stays. Otherwise the largest overlap decides.
    """
    overlapping = [(row, outage) for row in known for outage in outages if overlap_s(row, outage) > 0]
    overlapping.sort(key=lambda pair: (pair[0].started_at, pair[1].started_at))
    return [match for chain in _chains(overlapping) for match in _matched(chain)]


def _chains(pairs: Sequence[tuple[R, Outage]]) -> list[list[tuple[R, Outage]]]:
    """Group pairs that share a known or a derived outage with their neighbour."""
    chains: list[list[tuple[R, Outage]]] = []
    for pair in pairs:
        if chains and (chains[-1][-1][0] is pair[0] or chains[-1][-1][1] is pair[1]):
            chains[-1].append(pair)
        else:
            chains.append([pair])
    return chains


def _matched(chain: list[tuple[R, Outage]]) -> Iterable[tuple[R, Outage]]:
    if len({id(row) for row, _ in chain}) > 1 and len({outage for _, outage in chain}) > 1:
        chain = sorted(chain, key=lambda pair: -overlap_s(*pair))
    while chain:
        row, outage = chain[0]
        yield row, outage
        chain = [pair for pair in chain if pair[0] is not row and pair[1] is not outage]


def overlap_s(first: TimeRange, second: TimeRange) -> float:
    """Return the overlap in seconds, negative for ranges that lie apart. An open range ends at FAR_AHEAD."""
    start, end = max(first.started_at, second.started_at), min(_end(first), _end(second))
    return (end - start) / timedelta(seconds=1)


def _end(period: TimeRange) -> datetime:
    return period.ended_at or FAR_AHEAD
