"""Rate limits of visitors: of one, of an address, of a site and of a process, both by class of network."""

import time
from collections.abc import Sequence
from math import ceil

from app.core.errors import TooManyRequests
from app.core.networks import limit_key
from app.core.token_bucket import TokenBuckets
from app.settings import VisitorsSettings
from app.visitors.models import VisitNetwork

MAX_CALLERS = 100_000
# Results a second and burst. A page that was away for a week brings 2,016 of its own.
OF_VISITOR, OF_ADDRESS, OF_SITE = (1 / 60, 2_200), (2.0, 2_500), (0.5, 3_000)
VISITS_OF_ADDRESS = (1.0, 300)  # visits and look-ups of sites: a whole village may stand behind one address

Charge = tuple[TokenBuckets, bytes]


class VisitLimits:
    """What a process takes. A charge that one limit refuses is taken back from the others."""

    def __init__(self, settings: VisitorsSettings) -> None:
        self._visitors = _buckets(*OF_VISITOR)
        self._addresses = _buckets(*OF_ADDRESS)
        self._sites = _buckets(*OF_SITE)
        self._process = _buckets(float(settings.results_per_s), settings.burst)
        self._visits = _buckets(*VISITS_OF_ADDRESS)
        self._most_tests, self.speed_tests = settings.speed_tests, 0

    @property
    def has_free_test(self) -> bool:
        """Whether this process may serve one more speed test."""
        return self.speed_tests < self._most_tests

    def charge_visit(self, address: str | None) -> None:
        """Raises TooManyRequests."""
        _take([(self._visits, limit_key(address).encode())], 1)

    def charge_results(
        self, rows: int, *, visitor: bytes, address: str | None, site_id: int, network: VisitNetwork
    ) -> None:
        """Raises TooManyRequests: nothing is charged then, and the page keeps its rows."""
        _take(
            [
                (self._visitors, visitor),
                (self._addresses, limit_key(address).encode()),
                (self._sites, f"{site_id}:{network}".encode()),
                (self._process, network.encode()),  # apart: whoever floods from elsewhere stops no village
            ],
            max(1, rows),
        )


def _take(charges: Sequence[Charge], tokens: int) -> None:
    now = time.monotonic()
    for number, (buckets, key) in enumerate(charges):
        if (wait_s := buckets.take(key, now, tokens)) > 0:
            for charged, charged_key in charges[:number]:
                for _ in range(tokens):
                    charged.refund(charged_key)
            raise TooManyRequests(ceil(wait_s))


def _buckets(per_s: float, burst: int) -> TokenBuckets:
    return TokenBuckets(per_s=per_s, burst=burst, max_callers=MAX_CALLERS)
