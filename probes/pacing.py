"""Paces sending, and queues what falls due later, without a timer per packet."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

BURST_NS = 10_000_000  # a late tick catches up on 10 ms of sending at most
COLLECT_NS = BURST_NS // 2  # how long packets that may leave wait for others, to leave together


class Pace:
    """A token bucket of packets; at rate 0 every call allows a burst, as fast as the receive side keeps up."""

    def __init__(self, packets_per_second: float, *, burst_packets: int) -> None:
        self.set_rate(packets_per_second)
        self._burst = burst_packets
        self._free_at = 0.0  # when the next packet may leave, on the monotonic clock

    def set_rate(self, packets_per_second: float) -> None:
        if not packets_per_second >= 0:
            raise ValueError("packets_per_second must be 0 (unpaced) or more")
        self._gap_ns = 1e9 / packets_per_second if packets_per_second else 0.0

    def take(self, now_ns: int, wanted: int) -> int:
        """Return how many of `wanted` packets may leave now."""
        if not self._gap_ns:
            return min(wanted, self._burst)
        self._free_at = max(self._free_at, now_ns - BURST_NS)
        allowed = int((now_ns - self._free_at) / self._gap_ns) + 1 if now_ns >= self._free_at else 0
        taken = min(wanted, allowed, self._burst)
        self._free_at += taken * self._gap_ns
        return taken

    def due_for(self, wanted: int) -> int:
        """Return when so many packets may leave, or a burst of them, or those of COLLECT_NS."""
        together_ns = min((min(wanted, self._burst) - 1) * self._gap_ns, COLLECT_NS)
        return int(self._free_at + together_ns)


class DelayQueues(Generic[T]):
    """What falls due later: one queue per delay, so that items fall due in the order they were added.

    Adding and taking take constant time. Items that are no longer `live` are skipped. An item may be taken a little
    before its time, or after it, by `slack_ns` or a fortieth of its delay: so those that fall due closely are taken
    together.
    """

    def __init__(self, live: Callable[[T], bool], *, slack_ns: int = 0) -> None:
        self._live = live
        self._slack_ns = slack_ns
        self._queues: dict[int, deque[tuple[int, T]]] = {}

    def queue(self, delay_ns: int) -> deque[tuple[int, T]]:
        """Return the queue of a delay: append (due, item) to it, `due` never before the last one's."""
        queue = self._queues.get(delay_ns)
        if queue is None:
            queue = self._queues[delay_ns] = deque()
        return queue

    def next_due(self) -> int | None:
        """Return by when something is to be taken."""
        self._drop_dead_heads()
        return min((queue[0][0] + self._slack(delay) for delay, queue in self._queues.items()), default=None)

    def take_due(self, now_ns: int) -> Iterator[T]:
        for delay, queue in list(self._queues.items()):
            latest = now_ns + self._slack(delay)
            while queue and queue[0][0] <= latest:
                item = queue.popleft()[1]
                if self._live(item):
                    yield item

    def prune(self) -> None:
        """Drop the items that are no longer live."""
        for delay, queue in self._queues.items():
            self._queues[delay] = deque((due, item) for due, item in queue if self._live(item))

    def clear(self) -> None:
        self._queues.clear()

    def _slack(self, delay_ns: int) -> int:
        return min(self._slack_ns, delay_ns // 40)

    def _drop_dead_heads(self) -> None:
        for delay, queue in list(self._queues.items()):
            while queue and not self._live(queue[0][1]):
                queue.popleft()
            if not queue:
                del self._queues[delay]
