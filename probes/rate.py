"""Computes the rate of a transfer from samples of its bytes over time, leaving out the warm-up. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SAMPLE_S = 0.25  # between two samples of a transfer
WARM_UP = 0.25  # of the time, at least
LEVEL = 0.9  # settled: the next second is no slower than this share of the mean rate of all that follows
BURST = 1.3  # and no faster than this one
WINDOW_S = 1.0
SHORTEST_S = 1.0
LEAST_BYTES = 20_000


class Sample(NamedTuple):
    at_s: float
    bytes: int  # in total by then


@dataclass(frozen=True, slots=True)
class Rate:
    """`mbps` is None if the samples allow no rate; `reason` is `too_short`, `too_little` or `still_rising` then."""

    mbps: float | None
    warm_up_s: float = 0.0
    reason: str | None = None


def rate_of(samples: Sequence[Sample]) -> Rate:
    """Return the mean rate after the warm-up, which lasts until the rate has settled and WARM_UP of the time at least.

    None for a rate that never settles: half of a rise says nothing of where it ends. A stall counts like any time.
    """
    if not samples or samples[-1].at_s - samples[0].at_s < SHORTEST_S:
        return Rate(None, reason="too_short")
    first, last = samples[0], samples[-1]
    if last.bytes - first.bytes < LEAST_BYTES:
        return Rate(None, reason="too_little")
    duration_s = last.at_s - first.at_s
    settled_at_s = _settled_at(samples, min(WINDOW_S, duration_s / 4))
    if settled_at_s is None:
        return Rate(None, duration_s, "still_rising")
    warm_up_ends_s = max(settled_at_s, first.at_s + WARM_UP * duration_s)
    rest = last.bytes - bytes_at(samples, warm_up_ends_s)
    return Rate(mbps(rest, last.at_s - warm_up_ends_s), warm_up_ends_s - first.at_s)


def mbps(size: float, seconds: float) -> float:
    return size * 8 / 1e6 / seconds


def _settled_at(samples: Sequence[Sample], window_s: float) -> float | None:
    """Return when the rate has settled, None if it never does. At least two windows must follow, to compare with.

    A burst at first, filled into a buffer on the way, is left out as a rise is; but one that lasts for half of the
    time is a link that became slower.
    """
    last, level_at_s = samples[-1], None
    half_s = (samples[0].at_s + last.at_s) / 2
    for sample in samples:
        rest_s = last.at_s - sample.at_s
        if rest_s < 2 * window_s - 1e-9:
            break
        next_rate = (bytes_at(samples, sample.at_s + window_s) - sample.bytes) / window_s
        mean_rate = (last.bytes - sample.bytes) / rest_s
        if next_rate < LEVEL * mean_rate:
            continue
        if level_at_s is None:
            level_at_s = sample.at_s
        if sample.at_s >= half_s:
            break
        if next_rate <= BURST * mean_rate:
            return sample.at_s
    return level_at_s


def bytes_at(samples: Sequence[Sample], at_s: float) -> float:
    """Interpolate linearly between two samples."""
    before = samples[0]
    for after in samples:
        if after.at_s >= at_s:
            if after.at_s == before.at_s:
                return after.bytes
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return before.bytes + share * (after.bytes - before.bytes)
        before = after
    return samples[-1].bytes
