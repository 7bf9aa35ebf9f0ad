"""The published version of the status, and what a client that has an earlier one lacks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.status.changelog import Changelog, StatusChange
from app.status.row import StatusEntry
from app.status.status_filter import StatusFilter
from app.status.version import START, Version

MIN_CHANGES, CHANGES_PER_SITE = 20_000, 4  # kept in the changelog: minutes of them


@dataclass
class PublishedStatus:
    """Entries by site id."""

    entries: dict[int, StatusEntry] = field(default_factory=dict)
    version: Version = START
    _changelog: Changelog = field(default_factory=lambda: Changelog(max_changes=MIN_CHANGES))

    def select(self, status_filter: StatusFilter) -> list[StatusEntry]:
        """In the order of site ids."""
        matching = (entry for entry in self.entries.values() if status_filter.matches(entry))
        return sorted(matching, key=lambda entry: entry.site.id)

    def since(self, seen: Version, status_filter: StatusFilter) -> StatusChange | None:
        """Return what a client with version `seen` lacks; None if that is too old or of another database."""
        steps = self._changelog.since(seen, current=self.version)
        if steps is None or seen.ms > self.version.ms + 60_000:
            return None
        changed_ids = {site_id for step in steps for site_id in step.changed}
        changed = {entry.site.id: entry for entry in self._existing(changed_ids) if status_filter.matches(entry)}
        removed = {
            entry.site.id
            for entry in self._existing({site_id for step in steps for site_id in step.changed_state})
            if status_filter.covers(entry.site.village_code, entry.provider_id)
        } | {site_id for step in steps for site_id, former in step.left.items() if status_filter.covers(*former)}
        return StatusChange(
            self.version.merged_with(seen),
            [changed[site_id] for site_id in sorted(changed)],
            sorted(removed - changed.keys()),
        )

    def has_news(self, seen: Version, status_filter: StatusFilter) -> bool:
        """Whether, since `seen`, more than RTT and loss of a site of the filter's scope has changed."""
        steps = self._changelog.since(seen, current=self.version)
        if steps is None:
            return True
        left = any(status_filter.covers(*former) for step in steps for former in step.left.values())
        return left or any(
            status_filter.covers(entry.site.village_code, entry.provider_id)
            for step in steps
            for entry in self._existing(step.notable)
        )

    def _existing(self, site_ids: Iterable[int]) -> Iterator[StatusEntry]:
        return (self.entries[site_id] for site_id in site_ids if site_id in self.entries)
