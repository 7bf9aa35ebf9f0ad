"""What moved from version to version, for as long as it is remembered: so that pollers get only what changed."""

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from app.status.version import SLACK_MS, Version


class Place(NamedTuple):
    """Where a site was before it went out of sight there: who saw it then is told."""

    village_code: str
    provider_id: int


class Step(NamedTuple):
    """From one version to the next."""

    start: Version
    moved: Collection[int]  # sites that show something else
    regrouped: Collection[int]  # those of them that a filter may sort otherwise now
    left: dict[int, Place]


class History:
    """The newest steps, at least one, and no more of them than hold `most` moves."""

    def __init__(self, *, most: int) -> None:
        self.most = most
        self._steps: deque[Step] = deque()
        self._moves = 0

    def add(self, step: Step) -> None:
        self._steps.append(step)
        self._moves += len(step.moved)
        while self._moves > self.most and len(self._steps) > 1:
            self._moves -= len(self._steps.popleft().moved)

    def clear(self) -> None:
        self._steps.clear()
        self._moves = 0

    def since(self, seen: Version, *, current: Version) -> list[Step] | None:
        """Every step that somebody who saw that version may lack, the newest first; None when it is too long ago."""
        found: list[Step] = []
        if _has(seen, current):
            return found
        for step in reversed(self._steps):
            found.append(step)
            if _has(seen, step.start):
                return found
        return None


def _has(seen: Version, ours: Version) -> bool:
    return seen == ours or ours.is_within(seen, slack_ms=SLACK_MS)
