"""The memory of a simulated agent: its boot id, its sequence number, and the readings it could not send yet."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

MAX_ROWS = 1_440  # a router has little memory
PACKETS = 3

Row = dict[str, Any]
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass
class AgentMemory:
    """Lost with the power. Times are monotonic seconds; `clock_off_s` is how far the device's clock is off."""

    random: Random
    booted: float
    clock_off_s: float = 0.0
    sends_summaries: bool = False  # min, mean and max of the round trips alone, as RouterOS does
    boot: str = ""
    seq: int = 0
    dropped: int = 0
    rows: deque[Row] = field(default_factory=deque)
    held_back: list[tuple[float, list[Row]]] = field(default_factory=list)  # (until, rows)

    def __post_init__(self) -> None:
        self.boot = "".join(self.random.choices(_LETTERS, k=6))

    def clock(self, wall: float) -> str:
        return (datetime.fromtimestamp(wall, UTC) + timedelta(seconds=self.clock_off_s)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def measured(self, rtts_ms: list[float], *, now: float, wall: float) -> Row:
        """Keep a reading and return its row; without room the oldest is dropped."""
        row: Row = {"boot": self.boot, "seq": self.seq, "uptime_s": round(now - self.booted, 2), "sent": PACKETS}
        row |= _summary(rtts_ms) if self.sends_summaries else {"rtt_ms": rtts_ms}
        row["clock"] = self.clock(wall)
        self.seq += 1
        self.rows.append(row)
        while len(self.rows) > MAX_ROWS:
            self.rows.popleft()
            self.dropped += 1
        return row

    def forget(self, rows: Iterable[Row]) -> None:
        """Drop rows that were sent."""
        sent = {(row["boot"], row["seq"]) for row in rows}
        self.rows = deque(row for row in self.rows if (row["boot"], row["seq"]) not in sent)

    def hold_back(self, until: float) -> None:
        """Hold back all rows but the newest."""
        held, self.rows = list(self.rows)[:-1], deque(list(self.rows)[-1:])
        self.held_back.append((until, held))

    def release(self, now: float) -> bool:
        """Put back the rows whose time has come; return whether there were any."""
        due = [rows for until, rows in self.held_back if until <= now]
        for rows in due:
            self.rows.extendleft(reversed(rows))
        self.held_back = [(until, rows) for until, rows in self.held_back if until > now]
        return bool(due)

    def all_rows(self) -> Iterator[Row]:
        yield from self.rows
        for _, rows in self.held_back:
            yield from rows

    @property
    def waiting(self) -> int:
        return len(self.rows) + sum(len(rows) for _, rows in self.held_back)


def _summary(rtts_ms: list[float]) -> Row:
    if not rtts_ms:
        return {"received": 0}
    mean = round(sum(rtts_ms) / len(rtts_ms), 2)
    return {"received": len(rtts_ms), "rtt_min_ms": min(rtts_ms), "rtt_avg_ms": mean, "rtt_max_ms": max(rtts_ms)}
