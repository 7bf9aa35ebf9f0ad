"""The packets in flight over one socket, in arrays: no object a packet."""

from secrets import randbits
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.sockaddr import HOST_FIELD, SOCKADDR, Addresses

STEP_NS = 10_000_000  # clocks that diverge by more than this have been set, not slewed

_FEWEST_SLOTS = 1 << 12
_REMEMBERED = 1 << 20  # past tokens of which we know whether they were answered or timed out

Tokens = NDArray[np.uint32]


class FlightTable:
    """Keyed by token: a token's low bits are its slot. A new token is the next one whose slot is free.

    It grows once half of it is in flight.
    """

    def __init__(self, family: int) -> None:
        self.count = 0
        self._host_field = HOST_FIELD[family]
        self._next = randbits(32)
        self._answered = np.zeros(_REMEMBERED, np.bool_)
        self._columns: dict[str, NDArray[Any]] = {
            "live": np.zeros(_FEWEST_SLOTS, np.bool_),
            "token": np.zeros(_FEWEST_SLOTS, np.uint32),
            "sweep": np.zeros(_FEWEST_SLOTS, np.int64),
            "cell": np.zeros(_FEWEST_SLOTS, np.int64),  # of the sweep's round trips
            "wall": np.zeros(_FEWEST_SLOTS, np.int64),  # when it left, ns
            "mono": np.zeros(_FEWEST_SLOTS, np.int64),
            "timeout": np.zeros(_FEWEST_SLOTS, np.int64),
            "host": np.zeros(_FEWEST_SLOTS, SOCKADDR[self._host_field]),
        }
        self._order = np.zeros(_FEWEST_SLOTS, np.int64)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self._columns[column]

    def next_tokens(self, count: int) -> Tokens:
        """Return tokens whose slots are free, in order."""
        while 2 * (self.count + count) > len(self["live"]):
            self._grow()
        size = len(self["live"])
        slot = self._next & (size - 1)
        if slot + count <= size and not self["live"][slot : slot + count].any():
            tokens = np.arange(self._next, self._next + count, dtype=np.uint32)
            self._next = self._next + count & 0xFFFFFFFF
            return tokens
        span, tokens = count, np.zeros(0, np.uint32)
        while len(tokens) < count:
            near = (self._next + np.arange(span)).astype(np.uint32)
            tokens = near[~self["live"][self._slots(near)]]
            span = min(2 * span, size)
        self._next = int(tokens[count - 1]) + 1 & 0xFFFFFFFF
        return tokens[:count]

    def add(self, tokens: Tokens, to: Addresses, **columns: Any) -> None:
        """Put packets in flight: `columns` are sweep, cell, wall, mono and timeout."""
        slots = self._slots(tokens)
        self["live"][slots] = True
        self["token"][slots] = tokens
        self["host"][slots] = to[self._host_field]
        for name, values in columns.items():
            self[name][slots] = values
        self._answered[tokens % _REMEMBERED] = False
        self.count += len(tokens)

    def find(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return the slot of each token, -1 if it is not in flight."""
        slots = self._slots(tokens)
        return np.where(self["live"][slots] & (self["token"][slots] == tokens), slots, -1)

    def any_live(self, tokens: Tokens) -> bool:
        return bool((self.find(tokens) >= 0).any())

    def from_host(self, slots: NDArray[np.int64], sources: Addresses) -> NDArray[np.bool_]:
        """Return which answers come from the address that was pinged."""
        same: Any = self["host"][slots] == sources[self._host_field]
        whole: NDArray[np.bool_] = same if same.ndim == 1 else same.all(axis=1)
        return whole

    def first_of_each(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the slots did not occur before in the same array."""
        order = np.arange(len(slots))
        self._order[slots[::-1]] = order[::-1]  # of equal ones the last assignment stays
        first: NDArray[np.bool_] = self._order[slots] == order
        return first

    def answer(self, slots: NDArray[np.int64]) -> None:
        self._answered[self["token"][slots] % _REMEMBERED] = True
        self["live"][slots] = False
        self.count -= len(slots)

    def drop(self, tokens: Tokens) -> int:
        """Take what is left of these out of flight; return how many that were."""
        slots = self.find(tokens)
        slots = slots[slots >= 0]
        self["live"][slots] = False
        self.count -= len(slots)
        return len(slots)

    def drop_sweep(self, sweep: int) -> None:
        slots = np.flatnonzero(self["live"] & (self["sweep"] == sweep))
        self["live"][slots] = False
        self.count -= len(slots)

    def clear(self) -> None:
        self["live"][:] = False
        self.count = 0

    def past(self, tokens: Tokens) -> tuple[int, int, int]:
        """Return how many of these, none in flight, were answered before, timed out before, and never sent."""
        ages = (self._next - 1 - tokens.astype(np.int64)) & 0xFFFFFFFF
        known = ages < _REMEMBERED
        answered = int(np.count_nonzero(known & self._answered[tokens % _REMEMBERED]))
        timed_out = int(np.count_nonzero(known)) - answered
        return answered, timed_out, len(tokens) - answered - timed_out

    def _slots(self, tokens: Tokens) -> NDArray[np.int64]:
        return (tokens & (len(self["live"]) - 1)).astype(np.int64)

    def _grow(self) -> None:
        """Double the table: tokens that differ in their low bits still do with one bit more."""
        live = np.flatnonzero(self["live"])
        old = self._columns
        self._columns = {
            name: np.zeros((2 * len(values), *values.shape[1:]), values.dtype) for name, values in old.items()
        }
        self._order = np.zeros(len(self["live"]), np.int64)
        slots = self._slots(old["token"][live])
        for name, values in old.items():
            self[name][slots] = values[live]


def round_trips_ns(
    sent_wall: NDArray[np.int64], sent_mono: NDArray[np.int64], received_wall: NDArray[np.int64], now: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the round trips by the kernel's receive time, by the monotonic clock if the wall clock was set meanwhile.

    `now` is a (wall, monotonic) reading taken after the packets were read.
    """
    now_wall, now_mono = now
    elapsed = now_mono - sent_mono
    stepped = np.abs(now_wall - sent_wall - elapsed) >= STEP_NS
    rtts = received_wall - sent_wall
    return np.where(stepped | (rtts < 0), elapsed, rtts)
