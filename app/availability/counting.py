"""How much of a period a site was up, down or unseen: whole seconds that add up to the period exactly. Pure.

What a second is, is decided in this order: `inactive` outside the site's time in service, `maintenance` inside a
planned window, else the state. Everything else follows from the same slices, so parts always add up to the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.availability.intervals import Track, paint, weave
from app.availability.policy import Policy, in_force
from app.availability.tally import BAD, Run, Slice, Tally
from app.availability.timeline import Piece
from app.core.clock import to_slot
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time."""

    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Cause(Window):
    cause: str


@dataclass(frozen=True, slots=True)
class Terms(Window):
    policy: Policy


@dataclass(frozen=True, slots=True)
class History:
    """All that counting a site needs, as tracks in whole seconds.

    `states` hold outages in their whole length, also where they reach beyond what is counted.
    """

    states: Track[State]
    setups: Track[ConfigurationInForce]
    maintenance: Track[bool]
    causes: Track[str]
    policies: Track[Policy]
    site_id: int = 0


def slices(history: History, parts: Sequence[tuple[int, int]]) -> list[Slice]:
    """The parts, `(start, end)` in order, cut where anything changes.

    An outage is a run of `down` that no other state interrupts; maintenance inside takes seconds from it but does not
    split it. A contract's outage is a run of down or unreachable: its length is what remains without maintenance,
    time out of service or outside service hours, and excused seconds, and it counts when that reaches the least. The
    length runs from the first lost look to the answer that ended it: the last lost look, which would be the provable
    minimum, is not kept in the ledger.
    """
    states = _outages_whole(history.states, parts[0][0], parts[-1][1])
    low, high = min(parts[0][0], states[0][0]), max(parts[-1][1], states[-1][1])
    numbered = [(a, b, number) for number, (a, b) in enumerate(parts)]
    tracks: list[Track[Any]] = [
        numbered,
        states,
        history.setups,
        history.maintenance,
        history.causes,
        in_force(history.policies, low, high),
    ]
    found: list[Slice] = []
    down_since: int | None = None
    run: Run | None = None
    for start, end, (part, state, setup, maintained, cause, force) in weave(tracks, low, high):
        down_since = (down_since or start) if state is State.DOWN else None
        run = (run or Run()) if state in BAD else None
        kind = _kind(state, setup, maintained)
        counts = kind in BAD and force is not None and force.serving and not force.policy.excuses(kind, cause)
        if run is not None and counts:
            run.countable_s += end - start
        if part is not None:
            outage = None if down_since is None else (history.site_id, down_since)
            found.append(Slice(part, end - start, kind, setup, outage, cause, force, run if counts else None))
    return found


def _kind(state: State | None, setup: ConfigurationInForce | None, maintained: bool | None) -> str:
    if setup is None or not setup.active:
        return "inactive"
    if maintained:
        return "maintenance"
    return "unknown" if state is None else state.value


def _outages_whole(states: Track[State], low: int, high: int) -> Track[State]:
    """Only outages matter beyond the edges: all else is cut there."""
    kept = [(a, b, s) if s in BAD else (max(a, low), min(b, high), s) for a, b, s in states]
    return [stretch for stretch in kept if stretch[0] < stretch[1]] or [(low, high, State.UNKNOWN)]


def count(history: History, parts: Sequence[tuple[int, int]]) -> list[Tally]:
    """A tally for each part; the parts follow each other."""
    tallies = [Tally() for _ in parts]
    for piece in slices(history, parts):
        tallies[piece.part].add(piece)
    return tallies


def availability(
    pieces: Sequence[Piece],
    in_service: Sequence[Window],
    start: datetime,
    end: datetime,
    *,
    maintenance: Sequence[Window] = (),
    causes: Sequence[Cause] = (),
    policies: Sequence[Terms] = (),
) -> Tally:
    """`pieces` follow each other without overlap; windows may overlap and come in any order."""
    history = History(
        states=[(to_slot(p.started_at), to_slot(p.ended_at), p.state) for p in pieces],
        setups=paint((*_span(window), ConfigurationInForce(active=True)) for window in in_service),
        maintenance=paint((*_span(window), True) for window in maintenance),
        causes=paint((*_span(cause), cause.cause) for cause in causes),
        policies=paint((*_span(terms), terms.policy) for terms in policies),
    )
    (tally,) = count(history, [(to_slot(start), to_slot(end))])
    return tally


def _span(window: Window) -> tuple[int, int]:
    return to_slot(window.started_at), to_slot(window.ended_at)
