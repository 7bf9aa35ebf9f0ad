"""Looks up devices by their tokens and caches them for seconds; concurrent look-ups share one query."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from cachetools import LRUCache, TTLCache
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import to_slot, utc_now
from app.core.errors import Conflict, NotSignedIn, Unavailable
from app.core.single_flight import SingleFlight
from app.postgres.engine import Sessions, is_unavailable, transaction
from app.profiles import Profile, Technology, profiles
from app.push.rate_limits import MAX_DEVICES
from app.push.timestamps import PushSite
from probes.contract import ProbeKind

log = structlog.get_logger()

TTL_S = 2.5  # for so long a revoked token may still be accepted
LOOK_UP = text("""
    SELECT t.digest, t.id AS token_id, t.site_id, t.used_at, s.lifecycle, s.probe, s.technology, s.addressed_at
    FROM device_token t LEFT JOIN site s ON s.id = t.site_id
    WHERE t.digest = ANY(cast(:digests AS bytea[])) AND t.revoked_at IS NULL
""")
ALL_VALID = text("""
    SELECT digest FROM device_token WHERE revoked_at IS NULL ORDER BY used_at DESC NULLS LAST LIMIT :limit
""")
Devices = dict[bytes, "RegisteredDevice | None"]  # by the digests of their tokens; None: its row cannot be read
UNKNOWN_TOKEN = "This device's token is unknown or revoked: install its agent again"  # noqa: S105  # advice, no secret


class NotMeasuredByAgent(Conflict):
    type, title = "not-measured-by-agent", "This site is not measured by an agent: switch the agent off"


class RegisteredDevice(NamedTuple):
    """`site` None: the worker's ingest heartbeat."""

    site: PushSite | None
    probe: str
    token_id: int | None

    def require_pushed(self) -> None:
        """Raises NotMeasuredByAgent for a site that is retired or measured by another probe."""
        if self.site is not None and self.site.lifecycle == "retired":
            raise NotMeasuredByAgent("The site is retired")
        if self.probe != ProbeKind.PUSH:
            raise NotMeasuredByAgent("The site is measured by {probe} now", values={"probe": self.probe})


INGEST_HEARTBEAT = RegisteredDevice(None, ProbeKind.PUSH, None)


@dataclass(eq=False)  # hashed by identity: a batch is the key of its query
class Batch:
    digests: set[bytes] = field(default_factory=set)


class DeviceCache:
    """The least recently used device is evicted when the cache is full."""

    def __init__(
        self,
        sessions: Callable[[], Sessions],
        *,
        max_devices: int = MAX_DEVICES,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._devices: TTLCache[bytes, RegisteredDevice] = TTLCache(max_devices, TTL_S, timer)
        self._valid: LRUCache[bytes, bool] = LRUCache(max_devices)  # tokens; outlives what is known of their devices
        self._queries: SingleFlight[Batch, Devices] = SingleFlight()
        self._one_query = asyncio.Lock()
        self._batch = Batch()  # of the next query

    def was_valid(self, digest: bytes) -> bool:
        """Whether the token was valid when it was last looked up."""
        return digest in self._valid

    async def get(self, digest: bytes) -> RegisteredDevice:
        """Raises NotSignedIn for an unknown or revoked token, Unavailable while the database or the device's row is."""
        device = self._devices.get(digest)
        if device is None:
            batch = self._batch
            batch.digests.add(digest)
            devices = await self._queries.run(batch, lambda: self._load(batch))
            if digest not in devices:
                self._valid.pop(digest, None)
                raise NotSignedIn(UNKNOWN_TOKEN)
            device = devices[digest]
        if device is None:
            raise Unavailable
        return device

    async def _load(self, batch: Batch) -> Devices:
        """Wait for the query before, meanwhile the batch grows; then look all of it up."""
        async with self._one_query:
            self._batch = Batch()
            try:
                async with transaction(self._sessions()) as session:
                    if not self._valid:
                        await self._load_valid(session)
                    devices = await _look_up(session, list(batch.digests))
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("device_lookup_unavailable", error=type(error).__name__)
                raise Unavailable from error
        self._devices.update({digest: device for digest, device in devices.items() if device is not None})
        self._valid.update(dict.fromkeys(devices, True))
        return devices

    async def _load_valid(self, session: AsyncSession) -> None:
        """With the first query of a process: known devices need no budget of the network that they share."""
        digests = (await session.execute(ALL_VALID, {"limit": int(self._valid.maxsize)})).scalars()
        self._valid.update(dict.fromkeys(digests, True))

    def forget(self, digest: bytes) -> None:
        self._devices.pop(digest, None)
        self._valid.pop(digest, None)

    def clear(self) -> None:
        self._devices.clear()

    async def close(self) -> None:
        await self._queries.close()


async def _look_up(session: AsyncSession, digests: list[bytes]) -> Devices:
    """Return the devices with valid tokens, and activate tokens that are used for the first time."""
    rows = (await session.execute(LOOK_UP, {"digests": digests})).all()
    if first_used := [row.digest for row in rows if row.used_at is None and row.site_id is not None]:
        await agent_tokens.activate_tokens(session, first_used)
    return {row.digest: _device_of(row, profiles()) for row in rows}


def _device_of(row: Any, known: Mapping[Technology, Profile]) -> RegisteredDevice | None:
    """Return None for a row that cannot be read: a fault of ours, which the others looked up with it do not share."""
    if row.site_id is None:
        return INGEST_HEARTBEAT
    try:
        since = to_slot(row.used_at or utc_now())  # not used before: it was activated just now
        profile = known[row.technology]
        rates = profile.beat_s, profile.send_every_s
        addressed = to_slot(row.addressed_at)
        site = PushSite(row.site_id, row.lifecycle, addressed, *rates, since, profile.stream_beat_s)
    except Exception:
        log.exception("device_row_rejected", token_id=row.token_id)
        return None
    return RegisteredDevice(site, row.probe, row.token_id)
