"""The signed token of a visit: names its site and hides its visitor; nothing of a visit is stored before a result."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import month_of
from app.core.errors import Fault, Invalid
from app.postgres.engine import Sessions, transaction
from app.visitors.models import VisitKey

GOOD_FOR, OLDEST_ROW = timedelta(hours=24), timedelta(days=7)
CLOCK_TOLERANCE = timedelta(minutes=1)  # between the machines of a service
MAX_TOKEN, DIGEST_BYTES, KEY_BYTES = 400, 16, 32
KEYS_KEPT = GOOD_FOR + OLDEST_ROW + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Visit:
    """`visitors`: the visitor's digest by the month, for every month that a result of this visit may lie in."""

    site_id: int
    issued_at: datetime
    visitors: Mapping[date, bytes]

    @property
    def expires_at(self) -> datetime:
        return self.issued_at + GOOD_FOR

    def visitor(self, moment: datetime) -> bytes:
        """Return who it is in that month; in the nearest known one for a moment beyond them all."""
        month = month_of(moment)
        return self.visitors.get(month) or self.visitors[min(self.visitors, key=lambda known: abs(known - month))]

    @property
    def latest_visitor(self) -> bytes:
        return self.visitor(self.issued_at)


class VisitKeys:
    """The keys of months, made where they are missing and kept in memory: the same in all processes."""

    def __init__(self, sessions: Callable[[], Sessions]) -> None:
        self._sessions = sessions
        self._keys: dict[date, bytes] = {}
        self._reading = asyncio.Lock()

    async def issue(self, site_id: int, visitor: str, now: datetime) -> str:
        """Return the token of a new visit. `visitor`: what the browser calls itself, at random."""
        months = {month_of(moment) for moment in (now - OLDEST_ROW, now, now + GOOD_FOR)}
        digests = {month: _digest(await self._get(month), visitor.encode()) for month in sorted(months)}
        signed = {
            "i": int(now.timestamp()),
            "s": site_id,
            "v": {month.isoformat(): digest.hex() for month, digest in digests.items()},
        }
        body = _encode(orjson.dumps(signed))
        return f"{body}.{_encode(_digest(await self._get(month_of(now)), body.encode()))}"

    async def read(self, token: str, now: datetime) -> Visit:
        """Raises Invalid for one that we did not make, or that is over."""
        body, _, signature = token.partition(".")
        visit = _parse(body)
        if visit is None or not visit.issued_at - CLOCK_TOLERANCE <= now <= visit.expires_at:
            raise Invalid(_fault())
        made = _encode(_digest(await self._get(month_of(visit.issued_at)), body.encode()))
        if not hmac.compare_digest(made.encode(), signature.encode()):
            raise Invalid(_fault())
        return visit

    async def source(self, network: str | None, now: datetime) -> bytes:
        """Return what stands for a network this month."""
        return _digest(await self._get(month_of(now)), (network or "unknown").encode())

    async def _get(self, month: date) -> bytes:
        if month not in self._keys:
            async with self._reading:  # by one of all those that wait for it
                if month not in self._keys:
                    self._keys[month] = await self._read(month)
        return self._keys[month]

    async def _read(self, month: date) -> bytes:
        key = insert(VisitKey).values(month=month, key=secrets.token_bytes(KEY_BYTES)).on_conflict_do_nothing()
        async with transaction(self._sessions()) as session:
            await session.execute(key)
            return (await session.scalars(select(VisitKey.key).where(VisitKey.month == month))).one()


async def delete_old_keys(session: AsyncSession, now: datetime) -> None:
    """Forget the keys of months that no token names any more: who a visitor was cannot be computed then."""
    await session.execute(delete(VisitKey).where(VisitKey.month < month_of(now - KEYS_KEPT)))


def _parse(body: str) -> Visit | None:
    """Return what a token says, whoever made it."""
    try:
        signed = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        issued_at = datetime.fromtimestamp(signed["i"], UTC)
        visitors = {date.fromisoformat(month): bytes.fromhex(digest) for month, digest in signed["v"].items()}
        return Visit(int(signed["s"]), issued_at, visitors) if visitors else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return None


def _fault() -> Fault:
    return Fault("visit", "bad_visit", "This visit is unknown or over", "Begin a new one: POST /api/v1/visits")


def _digest(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)[:DIGEST_BYTES]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
