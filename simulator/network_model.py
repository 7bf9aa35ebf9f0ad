"""Which events are active at a site at a moment, and the delay of a packet then. Time is an argument: no clock."""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.host_plan import HostPlan, Link, pack_address
from simulator.script import EventKind, ScriptEvent
from simulator.seeded_random import mix

LINGER_S = 5.0  # ended events are kept so long, for packets that arrived before the end and are processed after it
_SILENT = (EventKind.OUTAGE, EventKind.POWER)


@dataclass(frozen=True, slots=True)
class ActiveEvent:
    """An event that has begun: its sites are fixed at its start, its bounds are whole microseconds.

    `codes` are the selected sites, then those that an outage silences because they are behind these.
    """

    event: ScriptEvent
    codes: tuple[str, ...]
    start_s: float
    end_s: float

    def is_active(self, now_s: float) -> bool:
        return self.start_s <= now_s < self.end_s


class NetworkModel:
    """Given the active events, it computes the delay for any address; `now_s` counts from the simulator's start."""

    def __init__(self, plan: HostPlan) -> None:
        self.plan = plan
        self._active: list[ActiveEvent] = []
        self._blind: list[ActiveEvent] = []
        self._by_address: dict[bytes, list[ActiveEvent]] = {}

    def set_plan(self, plan: HostPlan) -> None:
        """Replace the hosts; active events keep the sites that they began with."""
        self.plan = plan
        self._index()

    def begin(self, events: Iterable[ActiveEvent], now_s: float) -> None:
        """Add active events; forget those that ended a while ago."""
        self._active = [active for active in (*self._active, *events) if active.end_s > now_s - LINGER_S]
        self._index()

    def answer_delay_s(self, address: str | bytes, now_s: float, packet: int) -> float | None:
        """Return the seconds until the answer to our `packet`-th echo request to this address, None for no answer."""
        packed = pack_address(address) if isinstance(address, str) else address
        return None if self.is_blind(now_s) else self.anchor_delay_s(packed, now_s, packet)

    def anchor_delay_s(self, address: bytes, now_s: float, packet: int) -> float | None:
        """Return the delay of a packet sent from this address to an anchor: it never crosses our own uplink."""
        link = self.plan.links.get(address)
        if link is None:
            return None
        events = [active.event for active in self._by_address.get(address, ()) if active.is_active(now_s)]
        return _packet_delay_s(link, events, mix(link.key, packet))

    def is_cut(self, address: str, now_s: float) -> bool:
        """Whether nothing passes between us and this address: in an outage of the site's, or of our own uplink."""
        events = self._by_address.get(pack_address(address), ())
        return self.is_blind(now_s) or any(cut.event.kind in _SILENT and cut.is_active(now_s) for cut in events)

    def is_blind(self, now_s: float) -> bool:
        return any(active.is_active(now_s) for active in self._blind)

    def power_back_at_s(self, address: bytes, now_s: float) -> float | None:
        """Return when the electricity comes back at this address, None if there is electricity."""
        cuts = [
            cut
            for cut in self._by_address.get(address, ())
            if cut.event.kind is EventKind.POWER and cut.is_active(now_s)
        ]
        return max((cut.end_s for cut in cuts), default=None)

    def _index(self) -> None:
        """Index the events by the current addresses of their sites."""
        self._blind = [active for active in self._active if active.event.kind is EventKind.BLIND]
        self._by_address = {}
        for active in self._active:
            for code in active.codes if active.event.kind is not EventKind.BLIND else ():
                if (address := self.plan.addresses.get(code)) is not None:
                    self._by_address.setdefault(address, []).append(active)


def _packet_delay_s(link: Link, events: list[ScriptEvent], chance: int) -> float | None:
    """Return the delay, None for a lost packet: an outage beats all, of several losses or delays the worst counts."""
    if any(event.kind in _SILENT for event in events):
        return None
    loss_pct = max([link.loss_pct, *(event.loss_pct for event in events if event.loss_pct is not None)])
    if link.loses(loss_pct, chance):
        return None
    slow_ms = max((event.rtt_ms for event in events if event.rtt_ms is not None), default=link.rtt_ms)
    return link.delay_ms(slow_ms, chance) / 1_000
