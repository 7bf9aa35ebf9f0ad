"""The last looks of a site's device, as its technician sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.clock import WITA, from_slot
from app.judging.fold import median_us
from app.measurements import store as measurements
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, Reading

SHOWN, WITHIN = 5, timedelta(hours=1)
AHEAD = timedelta(minutes=1)  # a device's clock may be a little ahead


@dataclass(frozen=True, slots=True)
class RecentLooks:
    """The newest first; those in which nothing was sent are left out."""

    looks: Sequence[Reading]

    @property
    def sent(self) -> int:
        return sum(look.sent for look in self.looks)

    @property
    def lost_pct(self) -> float | None:
        answered = sum(len(look.rtt_us) for look in self.looks)
        return 100 * (self.sent - answered) / self.sent if self.sent else None

    @property
    def rtt_ms(self) -> float | None:
        """Return the median of all round trips."""
        ordered = sorted(rtt for look in self.looks for rtt in look.rtt_us)
        return ordered[len(ordered) // 2] / 1000 if ordered else None

    @property
    def rows(self) -> list[tuple[str, int, int, float | None]]:
        """Return of each look its time (WITA), packets answered and sent, and its median round trip in ms."""
        return [
            (
                f"{from_slot(look.slot).astimezone(WITA):%H.%M.%S}",
                len(look.rtt_us),
                look.sent,
                median_us(look) / 1000 if look.rtt_us else None,
            )
            for look in self.looks
        ]


async def load(sessions: Sessions, site_id: int, now: datetime) -> RecentLooks:
    async with transaction(sessions) as session:
        found = await measurements.list_last_before(session, site_id, now - WITHIN, now + AHEAD, limit=10 * SHOWN)
    own = [one for one in found if one.source == AGENT and one.sent]  # those told later, too
    return RecentLooks(own[: -SHOWN - 1 : -1])
