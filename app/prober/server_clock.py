"""The server's time, kept by this machine: whatever its own clock shows, slots are the server's seconds.

Between two answers it runs by the kernel's clock that goes on while the machine sleeps. Pure but for its two clocks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

STEP_S = 1.0  # a smaller error is corrected without a word
BEST_HOLDS_S = 600.0  # after that a longer round trip counts again: by then a cheap clock has drifted by 60 ms


def boot_time() -> float:
    """Return the seconds since this machine was started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class ClockAnchor:
    """At `even_s` of the even clock it was `server_s` at the server, to within `error_s`."""

    server_s: float
    even_s: float
    error_s: float


class ServerClock:
    def __init__(self, wall: Callable[[], float] = time.time, even: Callable[[], float] = boot_time) -> None:
        self.wall, self.even = wall, even
        self._anchor: ClockAnchor | None = None
        self._doubted_by: float | None = None  # how far off the last answer showed us
        self.is_verified = False  # by an answer to this process
        self.steps = 0

    @property
    def is_set(self) -> bool:
        return self._anchor is not None

    def now(self) -> float:
        """Return the seconds since 1970 at the server."""
        assert self._anchor is not None
        return self.at(self.even())

    def at(self, even_s: float) -> float:
        assert self._anchor is not None
        return self._anchor.server_s + even_s - self._anchor.even_s

    @property
    def slot(self) -> int:
        return int(self.now())

    @property
    def offset_s(self) -> float:
        """Return by how much this machine's own clock is ahead of the server's."""
        return self.wall() - self.now()

    def assume(self, offset_s: float) -> None:
        """Start from this machine's clock, and from how far it was ahead of the server's when that was known."""
        self._anchor = ClockAnchor(self.wall() - offset_s, self.even(), float("inf"))

    def observe(self, server_s: float, *, sent_s: float, received_s: float) -> float | None:
        """Take in an answer that was made at `server_s`, between two moments of the even clock.

        Return by how much the clock was stepped; None if it goes on as it was, but for a little. Once verified it is
        stepped when two answers in a row say so: of two servers whose clocks differ none is followed back and forth.
        """
        heard = ClockAnchor(server_s, (sent_s + received_s) / 2, (received_s - sent_s) / 2)
        if self._anchor is None or not self.is_verified:
            return self._verify(heard)
        off = heard.server_s - self.at(heard.even_s)
        if abs(off) > STEP_S + heard.error_s:
            confirmed = self._doubted_by is not None and abs(off - self._doubted_by) <= STEP_S / 2 + heard.error_s
            self._doubted_by = off
            return self._step(heard, off) if confirmed else None
        self._doubted_by = None
        is_stale = heard.even_s - self._anchor.even_s > BEST_HOLDS_S
        if (heard.error_s <= self._anchor.error_s or is_stale) and heard.error_s < STEP_S:
            self._anchor = heard
        return None

    def _verify(self, heard: ClockAnchor) -> float | None:
        off = heard.server_s - self.at(heard.even_s) if self._anchor is not None else 0.0
        self.is_verified = True
        if abs(off) > STEP_S:
            return self._step(heard, off)
        self._anchor = heard
        return None

    def _step(self, heard: ClockAnchor, off: float) -> float:
        self._anchor, self._doubted_by = heard, None
        self.steps += 1
        return off
