"""A window of each day in WITA, by its minutes: quiet hours, hours with power. One may cross midnight."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.clock import WITA

MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """From minute `start` of the day up to minute `end`; all day if they are the same."""

    start: int
    end: int

    @property
    def _length(self) -> timedelta:
        return timedelta(minutes=(self.end - self.start) % MINUTES or MINUTES)

    def shortened(self, minutes: int) -> "DailyWindow":
        """Return it without so many minutes at either end, which it has to be longer than."""
        return DailyWindow((self.start + minutes) % MINUTES, (self.end - minutes) % MINUTES)

    def _last_start(self, moment: datetime) -> datetime:
        """Return the latest start that is not after the moment."""
        local = moment.astimezone(WITA)
        start = local.replace(hour=self.start // 60, minute=self.start % 60, second=0, microsecond=0)
        return start if start <= local else start - timedelta(days=1)

    def end_after(self, moment: datetime) -> datetime | None:
        """Return the end of the window that the moment lies in, or None outside of one."""
        end = self._last_start(moment) + self._length
        return end.astimezone(moment.tzinfo) if moment < end else None

    def next_start(self, moment: datetime) -> datetime:
        """Return the moment itself within a window, else the start of the next one."""
        if self.end_after(moment) is not None:
            return moment
        return (self._last_start(moment) + timedelta(days=1)).astimezone(moment.tzinfo)
