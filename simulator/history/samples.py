"""What a look at a site finds where nothing happens: a few hours of its own, repeated in a mixed order.

So the hours between events need not be written reading by reading: each is one of the site's own sample hours, and its
rollup is that hour's rollup.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from app.judging.degraded import WINDOW_READINGS, DegradedThresholds
from probes.contract import CENTRAL, Outcome, Reading
from simulator.host_plan import DEFAULTS
from simulator.script import Behaviour
from simulator.seeded_random import key, mix, share

BY_DAY, BY_EVENING = 3, 2  # sample hours of a site; in the evening everybody is online
SAMPLES = BY_DAY + BY_EVENING
HOUR_S = 3_600
PACKETS = 3

Rtts = tuple[int, ...]  # microseconds

# Which sample an hour (since 1970) of a site is: the same arithmetic as `sample_of`. Hours 18 to 22 WITA are evening.
SAMPLE_SQL = f"""CASE WHEN (h + 8) % 24 BETWEEN 18 AND 22
    THEN {BY_DAY} + (h * 7 + h / 24 * 3 + site_id) % {BY_EVENING} ELSE (h * 7 + h / 24 * 5 + site_id) % {BY_DAY} END"""


def sample_of(site_id: int, hour: int) -> int:
    if 18 <= (hour + 8) % 24 <= 22:
        return BY_DAY + (hour * 7 + hour // 24 * 3 + site_id) % BY_EVENING
    return (hour * 7 + hour // 24 * 5 + site_id) % BY_DAY


@dataclass(slots=True)
class Air:
    """One site's: `samples[n][i]` is what the i-th regular look of sample hour n finds."""

    site_id: int
    interval_s: int
    phase: int
    source: str = CENTRAL
    samples: list[list[Rtts]] = field(default_factory=list)

    def reading(self, slot: int, rtts: Rtts, packets: int = PACKETS) -> Reading:
        outcome = Outcome.OK if rtts else Outcome.TIMEOUT
        return Reading(self.site_id, slot, outcome, packets, rtts, self.interval_s, source=self.source)

    def rtts(self, slot: int) -> Rtts:
        return self.samples[sample_of(self.site_id, slot // HOUR_S)][slot % HOUR_S // self.interval_s]


def air_of(
    seed: int,
    site_id: int,
    host: str,
    technology: str,
    limits: DegradedThresholds,
    *,
    interval_s: int,
    phase: int,
    scripted: Mapping[str, Behaviour],
    source: str = CENTRAL,
) -> Air:
    """As the simulated network answers for this address, held within what counts as healthy."""
    usual, says = DEFAULTS.get(technology, DEFAULTS["fiber"]), scripted.get(technology, Behaviour())
    own = key(seed, host)
    drawn_ms = usual.fastest_ms + (usual.slowest_ms - usual.fastest_ms) * share(mix(own))
    rtt_us = 1_000 * (drawn_ms if says.rtt_ms is None else says.rtt_ms)
    jitter_us = 1_000 * (usual.jitter_ms if says.jitter_ms is None else says.jitter_ms)
    loses = (usual.loss_pct if says.loss_pct is None else says.loss_pct) > 0
    air, random = Air(site_id, interval_s, phase, source), Random(own)
    for number in range(SAMPLES):
        busy = 1.0 if number < BY_DAY else 1.15
        centre = min(rtt_us * busy + jitter_us * (random.random() - 0.5), limits.rtt_us - 1.5 * jitter_us)
        air.samples.append(_hour(random, max(centre, 1.5 * jitter_us), jitter_us * busy, HOUR_S // interval_s))
        if loses and harmless(limits):
            lost = HOUR_S // interval_s // 2
            air.samples[-1][lost] = air.samples[-1][lost][1:]
    return air


def harmless(limits: DegradedThresholds) -> bool:
    """Whether one packet lost in ten looks is far from counting as loss."""
    lost_pct = 100 / (WINDOW_READINGS * PACKETS)
    return lost_pct < limits.loss_pct / 2


def _hour(random: Random, centre_us: float, jitter_us: float, looks: int) -> list[Rtts]:
    draw = random.random
    return [
        (
            int(centre_us + jitter_us * (draw() - draw())),
            int(centre_us + jitter_us * (draw() - draw())),
            int(centre_us + jitter_us * (draw() - draw())),
        )
        for _ in range(looks)
    ]
