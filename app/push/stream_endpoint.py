"""The stream that a device holds open: two long requests, of which one carries its lines and the other ours.

Two, since curl reads no response while it waits for what it is to send (docs/adr/0047-held-streams.md).
"""

import asyncio
from typing import NamedTuple

from app.core.errors import Conflict
from app.postgres.engine import Sessions
from app.push.endpoint import PushEndpoint
from app.push.stream_arrivals import StreamArrivals
from app.push.timestamps import PushSite
from app.streams.held import HeldStream, HeldStreams
from app.streams.recorder import StreamRecorder

SILENT_ROUNDS = 3  # without a line for so long, the request is ended
STREAMS_A_SECOND = 40  # that may come back after a stop of ours
SPREAD_S = 2  # at least
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Connection": "close"}


class NotStreamed(Conflict):
    type, title = "not-streamed", "This site's device holds no stream"


class Connection(NamedTuple):
    """What a device says of the connection that it opens: its boot, and which one of that boot it is."""

    boot: str
    number: int


class Half:
    """One of the two requests of a stream. `ended` is set to the seconds that the device shall wait, or to None."""

    def __init__(self, of: HeldStream, site: PushSite, secret: bytes, address: str | None) -> None:
        self.stream, self.site, self.secret, self.address = of, site, secret, address
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def end(self, wait_s: int | None = None) -> None:
        if not self.ended.done():
            self.ended.set_result(wait_s)


class DeviceStreams:
    """The streams of this process: at most one a site, the one opened last."""

    def __init__(self, push: PushEndpoint, sessions: "type[Sessions] | object", *, max_streams: int) -> None:
        self.push, self._max = push, max_streams
        self.held = HeldStreams()
        self.recorder = StreamRecorder(sessions, self.held, StreamArrivals().queue)  # type: ignore[arg-type]
        self._halves: dict[tuple[int, bool], Half] = {}  # by site, and whether it carries the device's lines
        self._ending = False

    def __len__(self) -> int:
        return len({site_id for site_id, _ in self._halves})
