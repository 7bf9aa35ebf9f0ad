"""Decide whether a visitor may test the speed, and how much of the site's data budget that may cost at most. Pure.

Visitors have a share of the month's budget, and of that only what the month has let grow so far: nobody can spend it
on the first day. What the service's own tests and pushes need comes first.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.clock import midnight, month_of
from app.profiles import Profile
from app.throughput.budget import DOWN_SHARE, MB, SLACK_BYTES, UP_SLACK_BYTES, month_end, push_bytes
from app.throughput.planner import allowance
from app.visitors.models import VisitDirection, VisitNetwork
from app.visitors.visited_sites import VisitedSite

UNTESTED_SHARE_PCT = 50  # of a site that the service itself does not test
WIRE_PCT = 104  # of a transfer's bytes: with TLS, TCP, acknowledgements, what is sent again (measured: 102-103)
AHEAD = timedelta(days=3)


class SpeedRefusal(StrEnum):
    """Why a visitor may not test the speed. `off`: visitors never do on this technology; `other_network`: it is not in
    the site's network; `outside_hours`; `over_budget`: visitors' share of the data budget is spent for now; `busy`:
    another test runs; `used`: this visitor tested this hour, or its network did often.
    """

    OFF = "off"
    OTHER_NETWORK = "other_network"
    OUTSIDE_HOURS = "outside_hours"
    OVER_BUDGET = "over_budget"
    BUSY = "busy"
    USED = "used"


@dataclass(frozen=True, slots=True)
class SpeedOffer:
    down_bytes: int
    up_bytes: int
    max_s: int  # for each direction

    def allowed(self, direction: VisitDirection) -> int:
        return self.down_bytes if direction is VisitDirection.DOWN else self.up_bytes

    def cost(self, direction: VisitDirection) -> int:
        """Return what a direction costs at most."""
        slack = SLACK_BYTES if direction is VisitDirection.DOWN else UP_SLACK_BYTES
        return wire_bytes(self.allowed(direction)) + slack

    @property
    def total_cost(self) -> int:
        return sum(self.cost(direction) for direction in VisitDirection)


def wire_bytes(size: int) -> int:
    """Return what a transfer of that size costs on the line."""
    return -(-size * WIRE_PCT // 100)


def offer_of(profile: Profile) -> SpeedOffer | None:
    """Return the sizes of a visitor's test; None where visitors test no speed."""
    net = (profile.visit_max_mb * MB - SLACK_BYTES - UP_SLACK_BYTES) * 100 // WIRE_PCT - 1
    if net <= 0:
        return None
    down = int(net * DOWN_SHARE)
    return SpeedOffer(down, int(net - down), profile.speed_max_s)


def decide(
    site: VisitedSite,
    profile: Profile,
    network: VisitNetwork,
    now: datetime,
    *,
    direction: VisitDirection | None = None,
) -> SpeedOffer | SpeedRefusal:
    """Return the sizes of a test, of both directions or of the one that begins now, or why there is none."""
    offer = offer_of(profile)
    if offer is None:
        return SpeedRefusal.OFF
    if network is VisitNetwork.OTHER:
        return SpeedRefusal.OTHER_NETWORK
    if not allowance(profile, site.budget_mb, pushes=site.pushes).is_open(now):
        return SpeedRefusal.OUTSIDE_HOURS
    cost = offer.total_cost if direction is None else offer.cost(direction)
    return offer if cost <= left_bytes(site, profile, now) else SpeedRefusal.OVER_BUDGET


def left_bytes(site: VisitedSite, profile: Profile, now: datetime) -> int:
    """Return what visitors may still spend today: of their share, and of the month's budget as a whole."""
    budget = allowance(profile, site.budget_mb, pushes=site.pushes)
    of_share = int(share_bytes(profile, site.budget_mb, tested=site.tested) * _grown(now)) - site.spent.visits
    left_s = (month_end(month_of(now)) - now).total_seconds()
    to_come = budget.pushes_bytes(left_s, each=push_bytes(site.spent.push, site.spent.push_requests))
    spent = site.spent.tests + site.spent.push + site.spent.visits
    return max(0, min(of_share, budget.monthly_bytes - spent - to_come))


def share_bytes(profile: Profile, budget_mb: int | None, *, tested: bool) -> int:
    """Return what visitors may spend of a month's budget."""
    whole = allowance(profile, budget_mb, pushes=False).monthly_bytes
    return whole * (profile.visit_share_pct if tested else UNTESTED_SHARE_PCT) // 100


def _grown(now: datetime) -> float:
    """Return how much of the month's share may be spent by now."""
    month = month_of(now)
    return min(1.0, (now - midnight(month) + AHEAD) / timedelta(days=_days(month)))


def _days(month: date) -> int:
    return monthrange(month.year, month.month)[1]
