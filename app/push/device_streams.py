"""The streams that devices hold open to this process: at most one a site, the one opened last."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import NamedTuple

from app.access.api_tokens import digest
from app.core.errors import Conflict, NotSignedIn, Problem, TooManyStreams, Unavailable
from app.core.stream_cost import CONNECTION_BYTES
from app.postgres.engine import Sessions
from app.push.device_cache import RegisteredDevice
from app.push.endpoint import PushEndpoint
from app.push.stream_arrivals import StreamArrivals
from app.push.timestamps import PushSite
from app.streams.held import HeldStream, HeldStreams
from app.streams.recorder import Heard, StreamRecorder

BACK_A_SECOND, BACK_AFTER_S = 40, 2  # how many devices may come back in a second after our stop, and when the first


class NotStreamed(Conflict):
    type, title = "not-streamed", "This site's device holds no stream"


class DeviceConnection(NamedTuple):
    """What a device says of the connection that it opens: its boot, and which connection of that boot it is."""

    boot: str
    number: int


class Half:
    """One of the two requests of a stream. `ended`: the seconds that the device shall wait, or None."""

    def __init__(self, stream: HeldStream, site: PushSite, secret: bytes, address: str | None) -> None:
        self.stream, self.site, self.secret, self.address = stream, site, secret, address
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def end(self, wait_s: int | None = None) -> None:
        if not self.ended.done():
            self.ended.set_result(wait_s)


class DeviceStreams:
    def __init__(self, push: PushEndpoint, sessions: Callable[[], Sessions], *, max_streams: int) -> None:
        self._push, self._max = push, max_streams
        self.held = HeldStreams()
        self.recorder = StreamRecorder(sessions, self.held, StreamArrivals().queue)
        self._halves: dict[tuple[int, bool], Half] = {}  # by site, and whether it carries the device's lines
        self._ending = False

    def __len__(self) -> int:
        return len({site_id for site_id, _ in self._halves})

    async def open(self, token: str, address: str | None, connection: DeviceConnection, *, carries_lines: bool) -> Half:
        """Return a half of the site's stream, which replaces the one before; an older connection's are ended.

        Raises NotSignedIn, TooManyRequests, TooManyStreams, NotMeasuredByAgent, NotStreamed, Unavailable.
        """
        device = await self._push.authenticate(token, address)
        site = _streamed_site(device)
        if self._ending or (len(self) >= self._max and not self._has(site.site_id)):
            raise TooManyStreams
        self._require_newest(site.site_id, connection)
        stream = self.held.open(site.site_id, connection.boot, connection.number, site.stream_beat_s, time.time())
        half = Half(stream, site, digest(token), address)
        for lines in (True, False):
            before = self._halves.get((site.site_id, lines))
            if before is not None and (lines is carries_lines or before.stream is not stream):
                before.end()
                del self._halves[site.site_id, lines]
        self._halves[site.site_id, carries_lines] = half
        self.note(half, CONNECTION_BYTES // 2)
        return half

    def close(self, half: Half, *, carries_lines: bool) -> None:
        """Its request is over. Without the device's lines nothing is expected of it, so ours end as well."""
        if self._halves.get((half.site.site_id, carries_lines)) is half:
            del self._halves[half.site.site_id, carries_lines]
            other = self._halves.get((half.site.site_id, not carries_lines))
            if carries_lines and other is not None:
                other.end()
            if carries_lines or other is None:
                self.held.close(half.stream)

    def note(self, half: Half, size: int) -> None:
        """The device was heard, or was written to: `size` bytes crossed its link."""
        site = half.site
        self.recorder.note(Heard(site.site_id, site.send_every_s, half.stream.heard_at, half.address), size)

    async def is_allowed(self, half: Half) -> bool:
        """Whether its token is still valid, and its site still streams. While the database is away it stays."""
        try:
            device = await self._push.devices.get(half.secret)
            _streamed_site(device)
        except Unavailable:
            return True
        except (NotSignedIn, Problem):
            return False
        return True

    def end(self) -> None:
        """End all, each with a moment of its own to come back. The server waits for them when it stops."""
        if not self._ending:
            self._ending = True
            spread_s = BACK_AFTER_S + len(self) / BACK_A_SECOND
            waits = {site_id: random.uniform(BACK_AFTER_S / 2, spread_s) for site_id, _ in self._halves}
            for (site_id, _), half in list(self._halves.items()):
                half.end(round(waits[site_id]))

    async def close_all(self) -> None:
        self.end()
        await self.recorder.close()

    def _require_newest(self, site_id: int, connection: DeviceConnection) -> None:
        """Raises TooManyStreams for the other request of a connection that the device has replaced meanwhile."""
        held = self.held.streams.get(site_id)
        if held is not None and held.is_open and held.boot == connection.boot and held.number > connection.number:
            raise TooManyStreams

    def _has(self, site_id: int) -> bool:
        return any((site_id, lines) in self._halves for lines in (True, False))


def _streamed_site(device: RegisteredDevice) -> PushSite:
    device.require_pushed()
    site = device.site
    if site is None or site.lifecycle != "active" or not site.stream_beat_s:
        raise NotStreamed("Its profile has none (stream_beat_s), or the site is not active: ask again in an hour")
    return site
