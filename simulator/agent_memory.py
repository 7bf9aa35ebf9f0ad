"""What a site's agent keeps in its memory: its boot, its count, and the readings that it could not send yet."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

KEPT = 1_440  # readings; a router has little memory
PACKETS = 3

Row = dict[str, Any]
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass
class Memory:
    """Lost with the power. Times are seconds of the monotonic clock, `wrong_s` how far its own clock is off."""

    random: Random
    booted: float
    wrong_s: float = 0.0
    flood: bool = False  # it knows only least, mean and most of the round trips, as RouterOS does
    boot: str = ""
    seq: int = 0
    dropped: int = 0
    rows: deque[Row] = field(default_factory=deque)
    aside: list[tuple[float, list[Row]]] = field(default_factory=list)  # held back until then

    def __post_init__(self) -> None:
        self.boot = "".join(self.random.choices(_LETTERS, k=6))

    def clock(self, wall: float) -> str:
        return (datetime.fromtimestamp(wall, UTC) + timedelta(seconds=self.wrong_s)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def measured(self, rtts_ms: list[float], *, now: float, wall: float) -> Row:
        """Keeps the reading as well; without room the oldest goes."""
        row: Row = {"boot": self.boot, "seq": self.seq, "uptime_s": round(now - self.booted, 2), "sent": PACKETS}
        row |= _summed(rtts_ms) if self.flood else {"rtt_ms": rtts_ms}
        row["clock"] = self.clock(wall)
        self.seq += 1
        self.rows.append(row)
        while len(self.rows) > KEPT:
            self.rows.popleft()
            self.dropped += 1
        return row

    def came(self, rows: Iterable[Row]) -> None:
        """They need not be kept any longer."""
        gone = {(row["boot"], row["seq"]) for row in rows}
        self.rows = deque(row for row in self.rows if (row["boot"], row["seq"]) not in gone)

    def hold_back(self, until: float) -> None:
        """All but the newest."""
        held, self.rows = list(self.rows)[:-1], deque(list(self.rows)[-1:])
        self.aside.append((until, held))

    def release(self, now: float) -> bool:
        """Whether there was anything whose time had come."""
        due = [rows for until, rows in self.aside if until <= now]
        for rows in due:
            self.rows.extendleft(reversed(rows))
        self.aside = [one for one in self.aside if one[0] > now]
        return bool(due)

    def everything(self) -> Iterator[Row]:
        yield from self.rows
        for _, rows in self.aside:
            yield from rows

    @property
    def waiting(self) -> int:
        return len(self.rows) + sum(len(rows) for _, rows in self.aside)


def _summed(rtts_ms: list[float]) -> Row:
    if not rtts_ms:
        return {"received": 0}
    mean = round(sum(rtts_ms) / len(rtts_ms), 2)
    return {"received": len(rtts_ms), "rtt_min_ms": min(rtts_ms), "rtt_avg_ms": mean, "rtt_max_ms": max(rtts_ms)}
