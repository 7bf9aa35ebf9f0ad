"""When packets may leave and when they fall due, without a timer for each."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

BURST_NS = 10_000_000  # a late tick catches up on 10 ms of sending at most
BURST_PACKETS = 128  # between two looks at the receive side: well below the smallest receive buffer


class Pace:
    """A token bucket of packets; a rate of 0 means bursts, as fast as the receive side keeps up."""

    def __init__(self, packets_per_second: float) -> None:
        if not packets_per_second >= 0:
            raise ValueError("packets_per_second must be 0 (unpaced) or more")
        self._gap_ns = 1e9 / packets_per_second if packets_per_second else 0.0
        self._free_at = 0.0  # when the next packet may leave, on the monotonic clock

    def take(self, now_ns: int, wanted: int) -> int:
        """How many of `wanted` packets may leave now."""
        if not self._gap_ns:
            return min(wanted, BURST_PACKETS)
        self._free_at = max(self._free_at, now_ns - BURST_NS)
        allowed = int((now_ns - self._free_at) / self._gap_ns) + 1 if now_ns >= self._free_at else 0
        taken = min(wanted, allowed, BURST_PACKETS)
        self._free_at += taken * self._gap_ns
        return taken

    def free_at(self) -> int:
        return int(self._free_at)


class DelayQueues(Generic[T]):
    """What falls due later: a queue per delay, in which the order of adding is the order of falling due.

    Adding and taking cost the same however many wait. What is no longer `live` is passed over.
    """

    def __init__(self, live: Callable[[T], bool]) -> None:
        self._live = live
        self._lanes: dict[int, deque[tuple[int, T]]] = {}

    def lane(self, delay_ns: int) -> deque[tuple[int, T]]:
        """Append (due, item) to it, `due` never before the last one's."""
        lane = self._lanes.get(delay_ns)
        if lane is None:
            lane = self._lanes[delay_ns] = deque()
        return lane

    def next_due(self) -> int | None:
        self._tidy()
        return min((lane[0][0] for lane in self._lanes.values()), default=None)

    def take_due(self, now_ns: int) -> Iterator[T]:
        for lane in list(self._lanes.values()):
            while lane and lane[0][0] <= now_ns:
                item = lane.popleft()[1]
                if self._live(item):
                    yield item

    def prune(self) -> None:
        """Forgets at once what is no longer live."""
        for delay, lane in self._lanes.items():
            self._lanes[delay] = deque((due, item) for due, item in lane if self._live(item))

    def clear(self) -> None:
        self._lanes.clear()

    def _tidy(self) -> None:
        for delay, lane in list(self._lanes.items()):
            while lane and not self._live(lane[0][1]):
                lane.popleft()
            if not lane:
                del self._lanes[delay]
