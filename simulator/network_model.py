"""What acts upon whom at a moment, and what becomes of a packet then. No clock inside: time comes in."""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.host_plan import Link, Plan, packed
from simulator.script import Event, EventKind
from simulator.seeded_random import mix

LINGER_S = 5.0  # an ended event is remembered for packets that came before its end but are looked at after
_SILENT = (EventKind.OUTAGE, EventKind.POWER)


@dataclass(frozen=True, slots=True)
class Acting:
    """An event under way: its sites are settled at its start, its bounds are whole microseconds.

    `codes` are the selected sites, and after them those that an outage silences because they hang on these.
    """

    event: Event
    codes: tuple[str, ...]
    start_s: float
    end_s: float

    def holds(self, now_s: float) -> bool:
        return self.start_s <= now_s < self.end_s


class Weather:
    """Told what acts, it answers for any address; `now_s` counts from the simulator's start."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._told: list[Acting] = []
        self._blind: list[Acting] = []
        self._upon: dict[bytes, list[Acting]] = {}

    def adopt(self, plan: Plan) -> None:
        """Takes over another registry; events under way stay with the sites they began with."""
        self.plan = plan
        self._spread()

    def act(self, acting: Iterable[Acting], now_s: float) -> None:
        """These act from now on, beside those that do; what ended a while ago is forgotten."""
        self._told = [one for one in (*self._told, *acting) if one.end_s > now_s - LINGER_S]
        self._spread()

    def verdict(self, address: str | bytes, now_s: float, packet: int) -> float | None:
        """Seconds until the answer to the `packet`-th echo request of ours to this address, or None: no answer."""
        where = packed(address) if isinstance(address, str) else address
        return None if self.is_blind(now_s) else self.anchor(where, now_s, packet)

    def anchor(self, where: bytes, now_s: float, packet: int) -> float | None:
        """As `verdict`, of a packet that is sent from there and never crosses our own uplink."""
        link = self.plan.links.get(where)
        if link is None:
            return None
        acting = [acting.event for acting in self._upon.get(where, ()) if acting.holds(now_s)]
        return _fate(link, acting, mix(link.key, packet))

    def is_blind(self, now_s: float) -> bool:
        return any(acting.holds(now_s) for acting in self._blind)

    def dark_until(self, where: bytes, now_s: float) -> float | None:
        """When the electricity comes back there, if there is none now."""
        cuts = [one for one in self._upon.get(where, ()) if one.event.kind is EventKind.POWER and one.holds(now_s)]
        return max((one.end_s for one in cuts), default=None)

    def _spread(self) -> None:
        """Lays the events upon the addresses where their sites are found now."""
        self._blind = [acting for acting in self._told if acting.event.kind is EventKind.BLIND]
        self._upon = {}
        for acting in self._told:
            for code in acting.codes if acting.event.kind is not EventKind.BLIND else ():
                if (address := self.plan.addresses.get(code)) is not None:
                    self._upon.setdefault(address, []).append(acting)


def _fate(link: Link, events: list[Event], chance: int) -> float | None:
    """An outage beats all; of several losses or delays the worst counts."""
    if any(event.kind in _SILENT for event in events):
        return None
    loss_pct = max([link.loss_pct, *(event.loss_pct for event in events if event.loss_pct is not None)])
    if link.loses(loss_pct, chance):
        return None
    slow_ms = max((event.rtt_ms for event in events if event.rtt_ms is not None), default=link.rtt_ms)
    return link.delay_ms(slow_ms, chance) / 1_000
