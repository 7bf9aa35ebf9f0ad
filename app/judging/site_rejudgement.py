"""One site's range that is judged again: when its fold may end, and what comes out otherwise. No SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.clock import utc_now
from app.judging import segments
from app.judging.dirty_range import DirtyRange
from app.judging.fold import FoldResult
from app.judging.judge import BAD, JudgeState
from app.judging.segments import Segment, SegmentRange

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PACKED = timedelta(hours=1)  # how much is lost with a corrupt pack


@dataclass(slots=True)
class SiteRejudgement:
    """One site's range from `start` to `end`, folded from the checkpoint at `folds_from` until `folds_until`."""

    row: Any
    start: datetime
    end: datetime
    folds_from: datetime = EPOCH
    initial: JudgeState | None = None  # at that checkpoint; None: the site's very beginning
    folds_until: datetime = FAR_FUTURE
    stored: dict[datetime, JudgeState] = field(default_factory=dict)  # the checkpoints in between
    is_damaged: bool = False  # readings in between are lost
    reads_back: timedelta = timedelta()  # how long a look of one vantage bears on what is judged after it
    is_combined: bool = False  # what is newer than the last one judged waits for looks from other vantages
    result: FoldResult = field(init=False)

    @property
    def site_id(self) -> int:
        return int(self.row.site_id)

    @property
    def read_window(self) -> tuple[int, datetime, datetime]:
        """Return the readings to fold: site, start and end."""
        start = max(self.folds_from, EPOCH + self.reads_back) - self.reads_back
        end = min(self.folds_until, self.row.seen_at + SECOND) if self.is_combined else self.folds_until
        return self.site_id, start, end

    @property
    def converged_at(self) -> datetime | None:
        """The checkpoint at which the fold came to the state stored there."""
        return self.result.converged_at

    @property
    def goes_on(self) -> bool:
        return self.converged_at is None and self.folds_until < FAR_FUTURE and not self.is_damaged

    def converges(self, at: datetime, state: JudgeState) -> bool:
        """Not before there is evidence from beyond the range: until then what lies in it bears on what follows."""
        bears_until = self.end + self.reads_back
        beyond = state.seen_at is not None and state.seen_at > bears_until
        renewed = state.evidence_at is None or state.evidence_at > bears_until
        return beyond and renewed and self.stored.get(at) == state

    def reads_any_of(self, hours: Iterable[datetime]) -> bool:
        """Return whether the fold came by readings of any of these hours."""
        last = self.converged_at or self.folds_until
        return any(self.folds_from - PACKED < hour < last for hour in hours)

    @property
    def replaced_segments(self) -> SegmentRange:
        first = self.initial.since if self.initial is not None else EPOCH
        return SegmentRange(first, self.result.state.since if self.converged_at is not None else FAR_FUTURE)

    @property
    def replaced_checkpoints(self) -> dict[datetime, JudgeState]:
        return {at: state for at, state in self.stored.items() if at <= self.last_replaced}

    @property
    def last_replaced(self) -> datetime:
        return self.converged_at - timedelta(seconds=1) if self.converged_at is not None else FAR_FUTURE

    def segments_after(self, before: Sequence[Segment]) -> list[Segment]:
        """Return what comes instead of the replaced segments."""
        first: list[Segment] = []
        if self.initial is not None and before and before[0].started_at == self.initial.since:
            first = [segments.reopened(before[0])]
        after = segments.apply_changes(first, self.result.changes)
        if self.converged_at is not None and after and before and after[-1].started_at == before[-1].started_at:
            after[-1] = segments.ended_like(after[-1], before[-1])
        return after

    def dirty_range(self, before: Sequence[Segment], after: Sequence[Segment]) -> DirtyRange:
        """Return the range that was asked for, widened by all segments that came out otherwise."""
        differing = set(before) ^ set(after)
        start = min([self.start, *(_reaches_back_to(segment) for segment in differing)])
        end = max([self.end, *(segment.ended_at or utc_now() for segment in differing)])
        return DirtyRange(self.site_id, start, end, whole=bool(differing))


def _reaches_back_to(segment: Segment) -> datetime:
    """Return the segment's start, an outage's last answer."""
    return (segment.last_ok_at or segment.started_at) if segment.state in BAD else segment.started_at
