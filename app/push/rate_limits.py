"""Rate limits of pushes: of each device, and of the networks from which unknown senders come."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from app.access.login_throttle import network_of
from app.core.errors import TooManyRequests, Unavailable
from app.core.token_bucket import TokenBuckets
from app.settings import LimitsSettings, PushSettings

MAX_DEVICES = 200_000  # twice the number of sites that one service is made for


class PushLimits:
    """A rate of 0 in the settings: no limit."""

    def __init__(self, settings: PushSettings, limits: LimitsSettings) -> None:
        self._devices = self._networks = None
        if per_min := settings.requests_per_min:
            self._devices = TokenBuckets(per_s=per_min / 60, burst=settings.burst, max_callers=MAX_DEVICES)
        if per_s := limits.requests_per_s:
            self._networks = TokenBuckets(per_s=per_s, burst=limits.burst)

    def charge_device(self, digest: bytes) -> None:
        """Raises TooManyRequests."""
        _take(self._devices, digest)

    @contextmanager
    def charging_network(self, address: str | None) -> Iterator[None]:
        """Count a request against its network, unless it is found to be a device's. Raises TooManyRequests.

        The charge is taken back at the end, but for an error that is the sender's: so any number of devices may share
        an address, and nobody who makes up tokens uses up the limits of the devices that are known.
        """
        network = network_of(address).encode()
        _take(self._networks, network)
        try:
            yield
        except Unavailable:
            self._refund(network)
            raise
        self._refund(network)

    def _refund(self, network: bytes) -> None:
        if self._networks is not None:
            self._networks.refund(network)


def _take(buckets: TokenBuckets | None, key: bytes) -> None:
    if buckets is not None and (wait_s := buckets.take(key, time.monotonic())) > 0:
        raise TooManyRequests(ceil(wait_s))
