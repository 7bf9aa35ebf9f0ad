"""Writes of many entries of which one may be poison: it is found by halving and rejected, and the rest is written."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from app.judging.carry_store import CarryOutdated
from app.postgres.engine import is_unavailable
from app.postgres.leader_lock import NoLongerLeader

MOST_WRITES = 64  # a call: enough to find four bad readings among thousands


class Divisible(Protocol):
    """Entries in order: a list, or a block of which a slice is a block."""

    def __len__(self) -> int: ...

    def __getitem__(self, entries: slice, /) -> Any: ...


Part = TypeVar("Part", bound=Divisible)


async def write_in_parts(
    parts: list[Part],
    write: Callable[[Part], Awaitable[None]],
    reject: Callable[[Part, Exception], Awaitable[None]],
) -> None:
    """Write each part in a transaction of its own and take it off `parts`; what was not written stays in there.

    1. A part whose write raises is halved, until the entry at fault is alone in its part: that is rejected.
    2. An unavailable database, a lost leadership, states that another one has written and the failure of an empty part
       are no entry's fault: raised.
    3. After MOST_WRITES the rest is left for the next call.
    """
    for _ in range(MOST_WRITES):
        if not parts:
            return
        part = parts[0]
        try:
            await write(part)
        except Exception as error:
            if not len(part) or not is_entrys_fault(error):
                raise
            if len(part) > 1:
                middle = len(part) // 2
                parts[:1] = [part[:middle], part[middle:]]
                continue
            await reject(part, error)
        del parts[0]


def is_entrys_fault(error: Exception) -> bool:
    """Whether the same write would fail again and others need not: the data was refused, or our own code raised."""
    return not is_unavailable(error) and not isinstance(error, NoLongerLeader | CarryOutdated)
