"""Derive a site's outages from its ledger, and match them with the outages already recorded in incidents. Pure.

An outage starts when a site is seen down and ends with its next answer. It continues through stretches in which nobody
looked or its parent was down: silence resolves nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from app.registry.models import State

GOOD = frozenset({State.UP, State.DEGRADED})
FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)


class TimeRange(Protocol):
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


R = TypeVar("R", bound=TimeRange)


@dataclass(frozen=True, slots=True)
class LedgerSegment:
    """A segment of the ledger; `last_loss_at` is set only for a `down` segment that has ended."""

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


def derive_outages(segments: Sequence[LedgerSegment], periods: Iterable[ServicePeriod]) -> list[Outage]:
    """Return the outages in order of time. The end of a service period ends an outage too, without an answer."""
    outages = []
    for period in periods:
        run: list[LedgerSegment] = []
        for segment in _clipped(segments, period):
            if segment.state in GOOD:
                if run:
                    outages.append(_outage(run, segment.started_at, run[-1].first_ok_after or segment.started_at))
                run = []
            elif run or segment.state is State.DOWN:
                run.append(segment)
        if run:
            outages.append(_outage(run, period.ended_at, None))
    return outages


def _clipped(segments: Iterable[LedgerSegment], period: ServicePeriod) -> Iterable[LedgerSegment]:
    for segment in segments:
        if overlap_s(segment, period) > 0:
            start, end = max(segment.started_at, period.started_at), min(_end(segment), _end(period))
            yield replace(segment, started_at=start, ended_at=None if end == FAR_AHEAD else end)


def _outage(run: Sequence[LedgerSegment], ended_at: datetime | None, first_ok_after: datetime | None) -> Outage:
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
        first_ok_after,
        last_loss_at,
        round(sum((_end(segment) - segment.started_at).total_seconds() for segment in unseen)),
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
