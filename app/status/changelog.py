"""A bounded log of what changed between versions, so that pollers receive only changes."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from app.status.row import StatusEntry
from app.status.version import SLACK_MS, Version


class FormerScope(NamedTuple):
    """Where a site was before it moved or left: callers who saw it there are told that it is removed."""

    village_code: str
    provider_id: int


class ChangelogStep(NamedTuple):
    """What changed from one version to the next, by site id."""

    start: Version
    changed: Collection[int]
    changed_state: Collection[int]  # those that a filter by state may no longer match
    notable: Collection[int]  # those of which more than RTT and loss has changed
    left: dict[int, FormerScope]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What a client needs to go from the version that it has to `version`."""

    version: Version
    changed: list[StatusEntry]
    removed: list[int]


class Changelog:
    """The newest steps: at least one, and in all no more than `max_changes` changed sites."""

    def __init__(self, *, max_changes: int) -> None:
        self.max_changes = max_changes
        self._steps: deque[ChangelogStep] = deque()
        self._changes = 0

    def add(self, step: ChangelogStep) -> None:
        self._steps.append(step)
        self._changes += len(step.changed)
        while self._changes > self.max_changes and len(self._steps) > 1:
            self._changes -= len(self._steps.popleft().changed)

    def clear(self) -> None:
        self._steps.clear()
        self._changes = 0

    def since(self, seen: Version, *, current: Version) -> list[ChangelogStep] | None:
        """Return every step that `seen` may lack, newest first, or None if it is older than the log."""
        steps: list[ChangelogStep] = []
        if _includes(seen, current):
            return steps
        for step in reversed(self._steps):
            steps.append(step)
            if _includes(seen, step.start):
                return steps
        return None


def _includes(seen: Version, ours: Version) -> bool:
    return seen == ours or ours.is_covered_by(seen, slack_ms=SLACK_MS)
