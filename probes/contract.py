"""All that crosses the border between measuring and everything else.

A prober turns `Target`s into `Reading`s. It knows sockets; it does not know villages, SQL or routes.
Slots are whole seconds since 1970 (UTC); round-trip times are whole microseconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class ProbeKind(StrEnum):
    ICMP = "icmp"
    TCP = "tcp"
    HTTP = "http"
    PUSH = "push"


class Outcome(StrEnum):
    OK = "ok"  # at least one answer
    TIMEOUT = "timeout"  # we looked properly and nothing answered
    FAULT = "fault"  # we failed to look: never the site's fault


CENTRAL = "central"  # the source of readings taken by this service's own worker
AGENT = "agent"  # of what a site's own device measured and pushed
SILENCE = "silence"  # of a push that was due and did not come while ingest was proven alive


@dataclass(frozen=True, slots=True)
class Target:
    key: int  # the caller's own number for it; comes back in the reading
    slot: int  # the whole second the reading will belong to
    kind: ProbeKind
    host: str  # an address or a name; names are resolved and every address is checked at sending
    port: int | None = None
    url: str | None = None
    packets: int = 3
    spacing_s: float = 1.0
    timeout_s: float = 2.0
    valid_s: int = 60


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at one target in one slot found. `sent` counts what left this machine."""

    key: int
    slot: int
    outcome: Outcome
    sent: int
    rtt_us: tuple[int, ...]  # one per answer, in the order of sending
    valid_s: int
    reason: str | None = None  # why it is a fault (or, for tcp/http, how it failed)
    source: str = CENTRAL
