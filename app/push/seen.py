"""The numbers of a boot's rows that came already, as PostgreSQL keeps them: an int8multirange of `[first, next)`."""

from bisect import bisect_right

MOST_RANGES = 2_000  # beyond it, numbers that were left out long ago count as come: such an agent does not count by one


class Seen:
    def __init__(self, text: str = "{}") -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for span in text[1:-1].replace("[", "").replace(")", "").split(",") if text != "{}" else ():
            (self._starts if len(self._starts) == len(self._ends) else self._ends).append(int(span))

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._starts, seq) - 1
        return at >= 0 and seq < self._ends[at]

    def add(self, seq: int) -> bool:
        """Whether it is new."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, seq)  # the first that begins after it
        if at and seq < ends[at - 1]:
            return False
        joins_before, joins_after = bool(at) and ends[at - 1] == seq, at < len(starts) and starts[at] == seq + 1
        if joins_before and joins_after:
            ends[at - 1] = ends.pop(at)
            del starts[at]
        elif joins_before:
            ends[at - 1] = seq + 1
        elif joins_after:
            starts[at] = seq
        else:
            starts.insert(at, seq)
            ends.insert(at, seq + 1)
        return True

    def __str__(self) -> str:
        if (over := len(self._starts) - MOST_RANGES) > 0:
            del self._starts[1 : over + 1]
            del self._ends[:over]
        return "{" + ",".join(f"[{first},{after})" for first, after in zip(self._starts, self._ends, strict=True)) + "}"
