"""Our own heartbeat, pushed as devices push: that it arrives in the inbox proves that theirs would, too."""

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx
import structlog

from app.core.clock import utc_now
from app.settings import Settings
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 15
TIMEOUT_S = 5.0
LOGGED_AFTER = 2  # unanswered beats: the api may be starting, too
PATH = "/api/v1/push"


@dataclass
class IngestHeartbeat:
    """A device without a site. Its token is kept in memory only."""

    url: str
    secret: str = field(default="", repr=False)
    sent: int = 0
    unanswered: int = 0  # in a row
    clock_offset: timedelta = timedelta()  # of ingest's clock ahead of ours, as far as it is certain
    client: httpx.AsyncClient | None = None
    _boot: str = field(default_factory=lambda: secrets.token_hex(8))

    def jobs(self) -> list[Job]:
        return [Job("ingest_heartbeat", EVERY_S, self.send)]

    async def send(self) -> None:
        """Never raises: a beat that is not answered proves nothing."""
        if self.client is None:  # a connection each, as devices do
            limits = httpx.Limits(max_keepalive_connections=0)
            self.client = httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False)
        self.sent += 1
        beat = {"boot": self._boot, "seq": self.sent, "sent": 0, "uptime_s": round(time.monotonic(), 1)}
        before = utc_now()
        try:
            response = await self.client.post(self.url, json=beat, headers={"Authorization": f"Bearer {self.secret}"})
            response.raise_for_status()
            self._compare_clocks(before, datetime.fromisoformat(response.json()["server_time"]), utc_now())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            self.unanswered += 1
            if self.unanswered == LOGGED_AFTER:
                log.warning("own_beat_unanswered", url=self.url, problem=str(error) or type(error).__name__)
        else:
            self.unanswered = 0

    def _compare_clocks(self, before: datetime, server_time: datetime, after: datetime) -> None:
        server_time = server_time.replace(tzinfo=UTC) if server_time.tzinfo is None else server_time
        self.clock_offset = min(server_time - before, timedelta()) or max(server_time - after, timedelta())

    async def close(self) -> None:
        if self.client is not None:
            await self.client.aclose()


def open_heartbeat(settings: Settings) -> IngestHeartbeat:
    return IngestHeartbeat(base_url(settings) + PATH)


def base_url(settings: Settings) -> str:
    """As devices reach ingest: `app.agents.installation.ingest_url` tells them the same."""
    url = settings.ingest_url or settings.public_base
    return f"http://{_reachable(settings.host)}:{settings.port_of_ingest}" if url is None else url.rstrip("/")


def _reachable(host: str) -> str:
    """Loopback for a host that means every address, and IPv6 in brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"[{address}]" if address.version == 6 else str(address)
