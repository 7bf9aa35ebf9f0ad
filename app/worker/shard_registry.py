"""The registry as the holder of a shard that does not lead follows it: it plans nothing, and judges its own sites."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.postgres.work_signals import WorkSignals
from app.worker.judging_session import JudgingSessions
from app.worker.registry_refresh import RegistryFollower


class ShardRegistry(RegistryFollower):
    def __init__(self, judging: JudgingSessions, signals: WorkSignals, write_lock: asyncio.Lock) -> None:
        super().__init__(judging, signals, write_lock)
        self._address_since: dict[int, datetime] = {}

    def shard_at_first(self) -> int | None:
        return None if self.version >= 0 or self.judging.seat is None else self.judging.seat.shard

    def address_since(self, site_id: int) -> datetime | None:
        return self._address_since.get(site_id)

    async def follow(self, rows: Sequence[Any]) -> None:
        self._address_since |= {row.id: row.addressed_at for row in self._own(rows)}
