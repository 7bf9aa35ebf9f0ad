"""How fast it was, from how much had come when: pure. Warm-up is left out, all that follows it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SAMPLE_S = 0.25  # between two samples of a transfer
WARM_UP = 0.25  # of the time, at least
LEVEL = 0.9  # settled: the next second is no slower than this share of all that follows
BURST = 1.3  # and no faster than this one
WINDOW_S = 1.0
SHORTEST_S = 1.0
LEAST_BYTES = 20_000


class Sample(NamedTuple):
    at_s: float
    bytes: int  # in all until then


@dataclass(frozen=True, slots=True)
class Rate:
    """`mbps` is null, with the reason, where what came allows none: `too_short`, `too_little`, `still_rising`."""

    mbps: float | None
    warm_up_s: float = 0.0
    reason: str | None = None


def rate_of(samples: Sequence[Sample]) -> Rate:
    """Bytes by time after the warm-up: until the rate had settled, from a rise or a burst, and a quarter of the time at
    least.

    A rate that never settles has no figure: half of a rise says nothing of where it ends. A stall counts like any time.
    """
    if not samples or samples[-1].at_s - samples[0].at_s < SHORTEST_S:
        return Rate(None, reason="too_short")
    first, last = samples[0], samples[-1]
    if last.bytes - first.bytes < LEAST_BYTES:
        return Rate(None, reason="too_little")
    lasted_s = last.at_s - first.at_s
    settled_at_s = _settled_at(samples, min(WINDOW_S, lasted_s / 4))
    if settled_at_s is None:
        return Rate(None, lasted_s, "still_rising")
    warm_at_s = max(settled_at_s, first.at_s + WARM_UP * lasted_s)
    rest = last.bytes - bytes_at(samples, warm_at_s)
    return Rate(mbps(rest, last.at_s - warm_at_s), warm_at_s - first.at_s)


def mbps(size: float, seconds: float) -> float:
    return size * 8 / 1e6 / seconds


def _settled_at(samples: Sequence[Sample], window_s: float) -> float | None:
    """Two windows at least must follow, or there is nothing to compare with. A burst at first is left out as a rise is:
    what a buffer on the way swallowed; but what lasts for half of the time is a link that became slower."""
    last, level_at_s = samples[-1], None
    half_s = (samples[0].at_s + last.at_s) / 2
    for sample in samples:
        rest_s = last.at_s - sample.at_s
        if rest_s < 2 * window_s - 1e-9:
            break
        soon = (bytes_at(samples, sample.at_s + window_s) - sample.bytes) / window_s
        rest = (last.bytes - sample.bytes) / rest_s
        if soon < LEVEL * rest:
            continue
        if level_at_s is None:
            level_at_s = sample.at_s
        if sample.at_s >= half_s:
            break
        if soon <= BURST * rest:
            return sample.at_s
    return level_at_s


def bytes_at(samples: Sequence[Sample], at_s: float) -> float:
    """Between two samples: evenly."""
    before = samples[0]
    for after in samples:
        if after.at_s >= at_s:
            if after.at_s == before.at_s:
                return after.bytes
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return before.bytes + share * (after.bytes - before.bytes)
        before = after
    return samples[-1].bytes
