"""Whether devices could be heard: our own beat, by the way that theirs take, seen to arrive where theirs arrive.

Moments are those of ingest's clock: of when it received our beats.
"""

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx
import structlog

from app.core.clock import floor_second, utc_now
from app.judging.blind_ranges import BlindRange
from app.settings import Settings

log = structlog.get_logger()

BEAT_S = 15
GAP = timedelta(seconds=45)  # two beats may be lost
TIMEOUT_S = 5.0
TOLD_AFTER = 2  # the api may be starting, too
PATH = "/api/v1/push"


@dataclass(frozen=True, slots=True)
class Proof:
    """From `since` to `last` ingest was alive without a longer gap; `since` None: not proven as yet."""

    last: datetime
    since: datetime | None = None

    def covers(self, start: datetime, now: datetime) -> bool:
        return self.since is not None and self.since <= start and self.deaf_since(now) is None

    def deaf_since(self, now: datetime) -> datetime | None:
        return self.last if self.since is None or now - self.last > GAP else None

    def heard(self, at: datetime, *, began_at: datetime) -> tuple["Proof", list[BlindRange]]:
        """One beat more, and what it shows to be unproven for good; `began_at`: since when this worker sends them."""
        if at - self.last > GAP:
            return Proof(at, at), _unproven(self.last, at, began_at)
        if at < self.last - GAP:  # the clock was set back
            return Proof(at, at), []
        return Proof(max(at, self.last), self.since or at), []


def _unproven(start: datetime, end: datetime, began_at: datetime) -> list[BlindRange]:
    """While the worker was away nobody sent a beat; what comes after is ingest's own."""
    away = min(max(began_at, start), end)
    if end - away <= GAP and start < away:
        return [_range(start, end, "stopped")]
    return [_range(a, b, why) for a, b, why in ((start, away, "stopped"), (away, end, "ingest")) if a < b]


def _range(start: datetime, end: datetime, reason: str) -> BlindRange:
    return BlindRange(floor_second(start), floor_second(end) + timedelta(seconds=1), reason)


@dataclass
class OwnBeat:
    """A device without a site. Its secret is nowhere but here."""

    url: str
    secret: str = field(default="", repr=False)
    sent: int = 0
    unanswered: int = 0  # in a row
    ahead: timedelta = timedelta()  # of ingest's clock, as far as it is certain
    _boot: str = field(default_factory=lambda: secrets.token_hex(8))
    _client: httpx.AsyncClient | None = None

    async def send(self) -> None:
        """Never raises: what is not answered proves nothing."""
        if self._client is None:  # a connection each, as devices do
            limits = httpx.Limits(max_keepalive_connections=0)
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False)
        self.sent += 1
        beat = {"boot": self._boot, "seq": self.sent, "sent": 0, "uptime_s": round(time.monotonic(), 1)}
        before = utc_now()
        try:
            answer = await self._client.post(self.url, json=beat, headers={"Authorization": f"Bearer {self.secret}"})
            answer.raise_for_status()
            self._compare(before, datetime.fromisoformat(answer.json()["server_time"]), utc_now())
            problem = None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            problem = str(error) or type(error).__name__
        if problem is None:
            self.unanswered = 0
            return
        self.unanswered += 1
        if self.unanswered == TOLD_AFTER:
            log.warning("own_beat_unanswered", url=self.url, problem=problem)

    def _compare(self, before: datetime, told: datetime, after: datetime) -> None:
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told
        self.ahead = min(told - before, timedelta()) or max(told - after, timedelta())

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def own_beat(settings: Settings) -> OwnBeat:
    return OwnBeat(_base(settings) + PATH)


def _base(settings: Settings) -> str:
    """As devices reach it. The path of a reverse proxy is added where there is one, unless the setting has it."""
    if settings.public_url is None:
        return f"http://{_reachable(settings.host)}:{settings.port}"
    base = settings.public_url.rstrip("/")
    return base if base.endswith(settings.root_path) else base + settings.root_path


def _reachable(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"[{address}]" if address.version == 6 else str(address)
