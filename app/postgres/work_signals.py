"""NOTIFY tells who does work that some is queued, so that nobody asks the database each second in vain.

A notification may be lost (no listener just then, a connection that was cut): whoever waits for one looks each SWEEP_S
all the same, and each time while nothing is listened to.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WORK_CHANNEL = "sinyal_work"  # payload: a kind of work
JUDGED_CHANNEL = "sinyal_judged"  # payload: ids of sites that another worker judged than the one that probes them
SWEEP_S = 30.0

NOTIFY = text("SELECT pg_notify(:channel, kind) FROM unnest(cast(:kinds AS text[])) kind")

NOTIFY_IDS = text("SELECT pg_notify(:channel, ids) FROM unnest(cast(:parts AS text[])) ids")
IDS_A_PART = 500  # a payload has 8,000 bytes


class Work(StrEnum):
    INBOX = "inbox"
    PROBERS = "probers"  # their deliveries
    DIAGNOSES = "diagnoses"
    SPEEDTESTS = "speedtests"
    REGISTRY = "registry"
    SHARDS = "shards"  # one holder of a shard left something to another
    JUDGED = "judged"  # sites were judged by another worker than the leading one
    ASSIGNMENT = "assignment"  # of sites to probers
    ANNOUNCEMENTS = "announcements"
    DELIVERIES = "deliveries"


async def announce(session: AsyncSession, *kinds: Work) -> None:
    """Notify at the commit whoever does this work. Those of one transaction are joined by PostgreSQL."""
    await session.execute(NOTIFY, {"channel": WORK_CHANNEL, "kinds": [kind.value for kind in kinds]})


async def announce_judged(session: AsyncSession, site_ids: Sequence[int]) -> None:
    """Tell the leading worker at the commit that these sites were judged elsewhere: that may move its schedule."""
    parts = [site_ids[first : first + IDS_A_PART] for first in range(0, len(site_ids), IDS_A_PART)]
    await session.execute(
        NOTIFY_IDS, {"channel": JUDGED_CHANNEL, "parts": [",".join(map(str, part)) for part in parts]}
    )


class WorkSignals:
    """The kinds of work that were signalled, and not looked at since."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_listening = False
        self._signalled: set[str] = set()
        self._sweep_at: dict[Work, float] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._judged: set[int] | None = None  # None: nobody knows which, as it was not listened to

    def listen(self) -> None:
        """Everything is due once: what was signalled before is unknown."""
        self._is_listening = True
        self._sweep_at.clear()
        self._judged = None

    def signal_judged(self, payload: str) -> None:
        if self._judged is not None:
            self._judged.update(map(int, payload.split(",")))
        self.signal(Work.JUDGED)

    def take_judged(self) -> set[int] | None:
        """Return the sites that were judged elsewhere since the last call; None: any may have been."""
        judged, self._judged = self._judged, set()
        return judged

    def forget_judged(self) -> None:
        """Whoever took them failed."""
        self._judged = None

    def stop(self) -> None:
        """Nothing is listened to: all work is due whenever it is asked for."""
        self._is_listening = False
        for waiting in self._waiting.values():
            waiting.set()

    def signal(self, kind: str) -> None:
        """Unknown kinds are those of a newer version, and nobody takes them."""
        self._signalled.add(kind)
        if (waiting := self._waiting.get(kind)) is not None:
            waiting.set()

    async def wait(self, kind: Work, timeout_s: float) -> None:
        """Wait until there is reason to look for this work, `timeout_s` at most; not at all while nobody listens."""
        if self._is_listening and kind not in self._signalled:
            waiting = self._waiting.setdefault(kind, asyncio.Event())
            waiting.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):  # `wait_for` of 3.11 may swallow a cancellation
                    await waiting.wait()

    def take(self, kind: Work, *, sweep_s: float = SWEEP_S) -> bool:
        """Return whether to look for this work now. Whoever fails to look signals it again.

        `sweep_s`: after how many seconds to look even if nothing is signalled.
        """
        now = self._clock()
        if self._is_listening and kind not in self._signalled and now < self._sweep_at.get(kind, float("-inf")):
            return False
        self._signalled.discard(kind)
        self._sweep_at[kind] = now + sweep_s
        return True
