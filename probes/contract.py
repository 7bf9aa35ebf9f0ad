"""The types that cross the border between probing and everything else: targets in, readings out.

A prober turns `Target`s into `Reading`s. It knows sockets; it does not know villages, SQL or routes.
Slots are whole seconds since 1970 (UTC); round-trip times are whole microseconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class ProbeKind(StrEnum):
    """`icmp`: echo requests; `tcp`: a connection to `port`; `http`: a request of `url`; `push`: the site's own device
    reports.
    """

    ICMP = "icmp"
    TCP = "tcp"
    HTTP = "http"
    PUSH = "push"


class Outcome(StrEnum):
    """`ok`: at least one answer; `timeout`: none; `fault`: we failed to look, never the site's fault."""

    OK = "ok"
    TIMEOUT = "timeout"
    FAULT = "fault"


# The source of a reading.
CENTRAL = "central"  # taken where this service's own worker runs
AGENT = "agent"  # measured and pushed by a device at the site
SILENCE = "silence"  # of a push that was due and missing while ingest was proven alive
VANTAGES = (CENTRAL, *(f"vantage-{number}" for number in range(1, 9)))  # taken at one of the places we look from
LOOKS = frozenset(VANTAGES)  # what we measured ourselves, from wherever


@dataclass(frozen=True, slots=True)
class Target:
    key: int  # the caller's own number for it, returned in the reading
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
    """The result of probing one target in one slot. `sent` counts the packets that left this machine."""

    key: int
    slot: int
    outcome: Outcome
    sent: int
    rtt_us: tuple[int, ...]  # one per answer, in the order of sending
    valid_s: int
    reason: str | None = None  # of a fault; for tcp and http of a timeout too
    source: str = CENTRAL
