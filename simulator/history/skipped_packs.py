"""Pack the readings of skipped hours: each is one of the site's sample hours, moved to where it is repeated. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from probes.contract import Reading
from probes.reading_block import ReadingBlock
from simulator.history.samples import HOUR_S, SAMPLES, SiteSamples, sample_number
from simulator.history.site_history import SiteHistory

LOST_SAMPLE = SAMPLES  # the number of the sample hour in which nothing answers


def sample_readings(samples: SiteSamples, base: int) -> Iterator[Reading]:
    """Yield a site's sample hours, number n as the hour base + n (since 1970)."""
    for number in range(SAMPLES + 1):
        for n in range(HOUR_S // samples.interval_s):
            slot = (base + number) * HOUR_S + samples.phase + n * samples.interval_s
            yield samples.reading(slot, () if number == LOST_SAMPLE else samples.samples[number][n])


def skipped_readings(histories: Sequence[SiteHistory], since: int, until: int) -> ReadingBlock:
    """Return the readings of skipped hours from `since` up to `until` (since 1970)."""
    return ReadingBlock.concat([_of_site(history, since, until) for history in histories])


def _of_site(history: SiteHistory, since: int, until: int) -> ReadingBlock:
    samples, hours = history.samples, list(_hours(history, since, until))
    block = ReadingBlock.of(sample_readings(samples, 0) if hours else ())
    each = HOUR_S // samples.interval_s
    numbers = np.array([number for _, number in hours], np.int64)
    rows = (numbers[:, None] * each + np.arange(each)).ravel()
    moved = np.repeat(np.array([hour for hour, _ in hours], np.int64) - numbers, each) * HOUR_S
    repeated = block.take(rows)
    return replace(repeated, slot=repeated.slot + moved)


def _hours(history: SiteHistory, since: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield the skipped hours, each with the number of the sample that it repeats."""
    for ranges, lost in ((history.healthy_hours, False), (history.lost_hours, True)):
        for low, high in ranges:
            for hour in range(max(low, since), min(high, until)):
                yield hour, LOST_SAMPLE if lost else sample_number(history.samples.site_id, hour)
