"""What a transfer's samples say of the link, though what passes the kernel passes in large pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.throughput import timed_transfer
from app.throughput.timed_transfer import TimedTransfer
from probes.rate import SAMPLE_S, rate_of

MAX_S = 10


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


async def _not_stored(_: TimedTransfer) -> None:
    raise AssertionError("the test reads the samples itself")


def transfer(mbps: float, *, piece: int, filled: int = 0, stall_s: float = 0.0) -> TimedTransfer:
    """Return one whose kernel takes `piece` bytes at a time as room comes free, and `filled` at once at first."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timed_transfer, "time", clock)
        timed = TimedTransfer(site_id=1, max_bytes=10**9, max_s=MAX_S, store=_not_stored)
        began, free = clock.now, 0.0
        for _ in range(filled // 65_536):
            timed.add(65_536)
        while (clock.now - began) + piece * 8e-6 / mbps <= MAX_S - stall_s:
            clock.now += piece * 8e-6 / mbps
            free = piece
            while free > 0:
                timed.add(min(65_536, int(free)))
                free -= 65_536
        clock.now = began + MAX_S
        timed._sample_end()
    return timed


@settings(max_examples=40, deadline=None)
@given(mbps=st.floats(1, 60), pieces=st.integers(1, 3), filled=st.integers(0, 200_000))
def test_pieces_of_any_size_give_the_links_rate(mbps: float, pieces: int, filled: int) -> None:
    assert rate_of(transfer(mbps, piece=65_536 * pieces, filled=filled).samples).mbps == pytest.approx(mbps, rel=0.03)


def test_two_megabits_read_two() -> None:
    assert rate_of(transfer(2, piece=131_072, filled=393_216).samples).mbps == pytest.approx(2, rel=0.01)


def test_a_stall_at_the_end_counts_though_a_pause_between_pieces_does_not() -> None:
    stalled = transfer(2, piece=65_536, stall_s=3)
    assert stalled.samples[-1].at_s == MAX_S
    assert rate_of(stalled.samples).mbps == pytest.approx(2 * 4.5 / 7.5, rel=0.05)
    steady = transfer(2, piece=131_072)
    assert MAX_S - 0.53 < steady.samples[-1].at_s < MAX_S


def test_a_fast_link_is_sampled_as_ever() -> None:
    assert len(transfer(200, piece=65_536).samples) == pytest.approx(MAX_S / SAMPLE_S, abs=3)
