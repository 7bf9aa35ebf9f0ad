"""What one process does at a time: the lock for it, and the counter of its generations."""

from dataclasses import dataclass
from enum import StrEnum

from app.postgres import lock_ids


class Leadership(StrEnum):
    """What only one process does at a time. Its value names the counter of its generations."""

    WORKER = "leader"
    COURIER = "courier"

    @property
    def lock_id(self) -> int:
        return {Leadership.WORKER: lock_ids.WORKER, Leadership.COURIER: lock_ids.COURIER}[self]


@dataclass(frozen=True, slots=True)
class ShardLeadership:
    """What only one process does at a time for a shard (app/judging/shards.py): to judge its sites."""

    shard: int

    @property
    def name(self) -> str:
        return f"shard {self.shard}"

    @property
    def value(self) -> str:
        return f"shard-{self.shard}"

    @property
    def lock_id(self) -> int:
        return lock_ids.SHARDS + self.shard
