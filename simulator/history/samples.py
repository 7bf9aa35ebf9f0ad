"""Healthy readings of a site: a few sample hours of its own, repeated in a mixed order.

Hours in which nothing happens need not be simulated reading by reading: each is one of the site's sample hours, and
its rollup is that hour's rollup.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from app.judging.degraded import WINDOW_READINGS, DegradedThresholds
from probes.contract import CENTRAL, Outcome, Reading
from simulator.link_defaults import DEFAULTS
from simulator.script import LinkBehaviour
from simulator.seeded_random import key, mix, share

BY_DAY, BY_EVENING = 3, 2  # sample hours of a site; links are busy in the evening
SAMPLES = BY_DAY + BY_EVENING
HOUR_S = 3_600
PACKETS = 3

Rtts = tuple[int, ...]  # microseconds

# The sample number of an hour `h` (since 1970), as `sample_number` computes it. Hours 18 to 22 WITA are evening.
SAMPLE_SQL = f"""CASE WHEN (h + 8) % 24 BETWEEN 18 AND 22
    THEN {BY_DAY} + (h * 7 + h / 24 * 3 + site_id) % {BY_EVENING} ELSE (h * 7 + h / 24 * 5 + site_id) % {BY_DAY} END"""


def sample_number(site_id: int, hour: int) -> int:
    """Return which of its sample hours an hour (since 1970) of a site repeats."""
    if 18 <= (hour + 8) % 24 <= 22:
        return BY_DAY + (hour * 7 + hour // 24 * 3 + site_id) % BY_EVENING
    return (hour * 7 + hour // 24 * 5 + site_id) % BY_DAY


@dataclass(slots=True)
class SiteSamples:
    """`samples[n][i]` are the round trips of the i-th regular reading of sample hour n."""

    site_id: int
    interval_s: int
    phase: int
    source: str = CENTRAL
    samples: list[list[Rtts]] = field(default_factory=list)

    def reading(self, slot: int, rtts: Rtts, packets: int = PACKETS) -> Reading:
        outcome = Outcome.OK if rtts else Outcome.TIMEOUT
        return Reading(self.site_id, slot, outcome, packets, rtts, self.interval_s, source=self.source)

    def rtts(self, slot: int) -> Rtts:
        return self.samples[sample_number(self.site_id, slot // HOUR_S)][slot % HOUR_S // self.interval_s]


def draw_samples(
    seed: int,
    site_id: int,
    host: str,
    technology: str,
    thresholds: DegradedThresholds,
    *,
    interval_s: int,
    phase: int,
    scripted: Mapping[str, LinkBehaviour],
    source: str = CENTRAL,
) -> SiteSamples:
    """Draw a site's samples as the simulated network answers for its address, kept within the healthy thresholds."""
    defaults, behaviour = DEFAULTS.get(technology, DEFAULTS["fiber"]), scripted.get(technology, LinkBehaviour())
    site_key = key(seed, host)
    drawn_ms = defaults.fastest_ms + (defaults.slowest_ms - defaults.fastest_ms) * share(mix(site_key))
    rtt_us = 1_000 * (drawn_ms if behaviour.rtt_ms is None else behaviour.rtt_ms)
    jitter_us = 1_000 * (defaults.jitter_ms if behaviour.jitter_ms is None else behaviour.jitter_ms)
    loses = (defaults.loss_pct if behaviour.loss_pct is None else behaviour.loss_pct) > 0
    site_samples, random = SiteSamples(site_id, interval_s, phase, source), Random(site_key)
    for number in range(SAMPLES):
        busy = 1.0 if number < BY_DAY else 1.15
        center = min(rtt_us * busy + jitter_us * (random.random() - 0.5), thresholds.rtt_us - 1.5 * jitter_us)
        site_samples.samples.append(_hour(random, max(center, 1.5 * jitter_us), jitter_us * busy, HOUR_S // interval_s))
        if loses and is_loss_harmless(thresholds):
            lost = HOUR_S // interval_s // 2
            site_samples.samples[-1][lost] = site_samples.samples[-1][lost][1:]
    return site_samples


def is_loss_harmless(thresholds: DegradedThresholds) -> bool:
    """Return whether one packet lost in a window of readings stays far below the loss threshold."""
    lost_pct = 100 / (WINDOW_READINGS * PACKETS)
    return lost_pct < thresholds.loss_pct / 2


def _hour(random: Random, center_us: float, jitter_us: float, count: int) -> list[Rtts]:
    draw = random.random
    return [
        (
            int(center_us + jitter_us * (draw() - draw())),
            int(center_us + jitter_us * (draw() - draw())),
            int(center_us + jitter_us * (draw() - draw())),
        )
        for _ in range(count)
    ]
