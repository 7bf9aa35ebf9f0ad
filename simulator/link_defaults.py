"""How a healthy link of each technology behaves where a script says nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkDefaults:
    """A healthy link of a technology: a host's round trip lies in the range, a packet's within the jitter around it."""

    fastest_ms: float
    slowest_ms: float
    jitter_ms: float
    loss_pct: float = 0.0


DEFAULTS: Mapping[str, LinkDefaults] = {
    "fiber": LinkDefaults(10, 40, 1),
    "radio": LinkDefaults(12, 50, 2),
    "cellular": LinkDefaults(30, 100, 8, 0.2),
    "leo": LinkDefaults(25, 60, 4, 0.2),
    "geo": LinkDefaults(550, 700, 15),
}
CANARY = LinkDefaults(2, 2, 0.1)
