"""Outages as the ledger has them, and which of them is which of those that people deal with already. Pure.

An outage begins with a site seen down and ends with its next answer. Where in between nobody looked, or its parent was
out, it goes on: silence resolves nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from app.registry.models import State

GOOD = frozenset({State.UP, State.DEGRADED})
FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)


class Stretch(Protocol):
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Stretch)


@dataclass(frozen=True, slots=True)
class Seen:
    """A segment of the ledger; `last_loss_at` is that of a `down` that is over."""

    started_at: datetime
    ended_at: datetime | None
    state: State
    last_ok_at: datetime | None = None
    confirmed_at: datetime | None = None
    first_ok_after: datetime | None = None
    last_loss_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """When the site was in service without a break."""

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


def outages(segments: Sequence[Seen], services: Iterable[Service]) -> list[Outage]:
    """In the order of time. An end of service ends an outage too, without an answer."""
    found = []
    for service in services:
        run: list[Seen] = []
        for segment in _within(segments, service):
            if segment.state in GOOD:
                if run:
                    found.append(_outage(run, segment.started_at, run[-1].first_ok_after or segment.started_at))
                run = []
            elif run or segment.state is State.DOWN:
                run.append(segment)
        if run:
            found.append(_outage(run, service.ended_at, None))
    return found


def _within(segments: Iterable[Seen], service: Service) -> Iterable[Seen]:
    for segment in segments:
        if overlap_s(segment, service) > 0:
            start, end = max(segment.started_at, service.started_at), min(_end(segment), _end(service))
            yield replace(segment, started_at=start, ended_at=None if end == FAR_AHEAD else end)


def _outage(run: Sequence[Seen], ended_at: datetime | None, first_ok_after: datetime | None) -> Outage:
    first, last = run[0], next(one for one in reversed(run) if one.state is State.DOWN)
    unseen = (one for one in run[: run.index(last)] if one.state is not State.DOWN)
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
        round(sum((_end(one) - one.started_at).total_seconds() for one in unseen)),
    )


def pair(known: Sequence[R], found: Sequence[Outage]) -> list[tuple[R, Outage]]:
    """Which outage is which known one; neither list overlaps in itself.

    Split: the earlier part keeps the identity. Merged: the earlier one lives. Otherwise the largest overlap decides.
    """
    both = [(one, outage) for one in known for outage in found if overlap_s(one, outage) > 0]
    both.sort(key=lambda two: (two[0].started_at, two[1].started_at))
    return [match for chain in _chains(both) for match in _settled(chain)]


def _chains(both: Sequence[tuple[R, Outage]]) -> list[list[tuple[R, Outage]]]:
    chains: list[list[tuple[R, Outage]]] = []
    for two in both:
        if chains and (chains[-1][-1][0] is two[0] or chains[-1][-1][1] is two[1]):
            chains[-1].append(two)
        else:
            chains.append([two])
    return chains


def _settled(chain: list[tuple[R, Outage]]) -> Iterable[tuple[R, Outage]]:
    if len({id(one) for one, _ in chain}) > 1 and len({outage for _, outage in chain}) > 1:
        chain = sorted(chain, key=lambda two: -overlap_s(*two))
    while chain:
        one, outage = chain[0]
        yield one, outage
        chain = [two for two in chain if two[0] is not one and two[1] is not outage]


def overlap_s(one: Stretch, other: Stretch) -> float:
    """Seconds; negative for what lies apart. What has not ended reaches far ahead."""
    start, end = max(one.started_at, other.started_at), min(_end(one), _end(other))
    return (end - start) / timedelta(seconds=1)


def _end(one: Stretch) -> datetime:
    return one.ended_at or FAR_AHEAD
