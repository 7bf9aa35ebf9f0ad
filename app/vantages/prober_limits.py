"""Rate limits of probers: of each one, and of the networks from which unknown tokens come."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from app.core.errors import NotSignedIn, TooManyRequests
from app.core.networks import limit_key
from app.core.token_bucket import TokenBuckets
from app.settings import LimitsSettings

# A prober delivers each 5 s, and at once where something changed. What it kept for a week comes as fast as this allows.
REQUESTS_PER_S, REQUESTS_BURST = 5, 200
BLOCKS_PER_S, BLOCKS_BURST = 5, 2_000
READINGS_PER_S, READINGS_BURST = 50_000, 1_200_000


class ProberLimits:
    """A rate of 0 in the settings: no limit of networks."""

    def __init__(self, limits: LimitsSettings) -> None:
        self._networks = None
        if limits.requests_per_s:
            self._networks = TokenBuckets(per_s=limits.requests_per_s, burst=limits.burst)
        self._requests = TokenBuckets(per_s=REQUESTS_PER_S, burst=REQUESTS_BURST)
        self._blocks = TokenBuckets(per_s=BLOCKS_PER_S, burst=BLOCKS_BURST)
        self._readings = TokenBuckets(per_s=READINGS_PER_S, burst=READINGS_BURST)

    def charge_request(self, digest: bytes) -> None:
        """Raises TooManyRequests."""
        _take(self._requests, digest)

    def charge_delivery(self, digest: bytes, *, blocks: int, readings: int) -> None:
        """Raises TooManyRequests."""
        for buckets, count in ((self._blocks, blocks), (self._readings, readings)):
            if count:
                _take(buckets, digest, count)

    @contextmanager
    def charging_network(self, address: str | None) -> Iterator[None]:
        """Count a request against its network, unless its token is found to be a prober's. Raises TooManyRequests."""
        network = limit_key(address).encode()
        if self._networks is not None:
            _take(self._networks, network)
        try:
            yield
        except NotSignedIn:
            raise
        except BaseException:
            self._refund(network)
            raise
        self._refund(network)

    def _refund(self, network: bytes) -> None:
        if self._networks is not None:
            self._networks.refund(network)


def _take(buckets: TokenBuckets, key: bytes, tokens: int = 1) -> None:
    if (wait_s := buckets.take(key, time.monotonic(), tokens)) > 0:
        raise TooManyRequests(ceil(wait_s))
