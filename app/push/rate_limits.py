"""Rate limits of pushes: of each device, and of the networks from which unknown senders come."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import ceil

from app.core.errors import TooManyRequests, Unavailable
from app.core.networks import limit_key
from app.core.token_bucket import TokenBuckets
from app.settings import LimitsSettings, PushSettings

MAX_DEVICES = 200_000  # twice the number of sites that one service is made for

# An hour that is over is stored as one piece, which each push with rows of it has written anew. A device that was
# offline for a week sends its 168 hours in 11 pushes, at a row a minute.
PAST_AFTER_S = 2 * 3600
PAST_HOURS_PER_S, PAST_HOURS_BURST = 1 / 60, 400


class PushLimits:
    """A rate of 0 in the settings: no limit."""

    def __init__(self, settings: PushSettings, limits: LimitsSettings) -> None:
        self._devices = self._networks = None
        if per_min := settings.requests_per_min:
            self._devices = TokenBuckets(per_s=per_min / 60, burst=settings.burst, max_callers=MAX_DEVICES)
        if per_s := limits.requests_per_s:
            self._networks = TokenBuckets(per_s=per_s, burst=limits.burst)

        self._past_hours = TokenBuckets(per_s=PAST_HOURS_PER_S, burst=PAST_HOURS_BURST, max_callers=MAX_DEVICES)

    def charge_past_hours(self, site_id: int, slots: Iterable[int], received: int) -> None:
        """Count the hours that these slots lie in, but for the last two. Raises TooManyRequests."""
        hours = {slot // 3600 for slot in slots if slot < received - PAST_AFTER_S}
        if hours:
            _take(self._past_hours, str(site_id).encode(), len(hours))

    def charge_device(self, digest: bytes) -> None:
        """Raises TooManyRequests."""
        _take(self._devices, digest)

    @contextmanager
    def charging_network(self, address: str | None) -> Iterator[None]:
        """Count a request against its network, unless it is found to be a device's. Raises TooManyRequests.

        The charge is taken back at the end, but for an error that is the sender's: so any number of devices may share
        an address, and nobody who makes up tokens uses up the limits of the devices that are known.
        """
        network = limit_key(address).encode()
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


def _take(buckets: TokenBuckets | None, key: bytes, tokens: int = 1) -> None:
    if buckets is not None and (wait_s := buckets.take(key, time.monotonic(), tokens)) > 0:
        raise TooManyRequests(ceil(wait_s))
