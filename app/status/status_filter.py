"""Select sites by the caller's scope and the query's filters."""

from dataclasses import dataclass

from app.access.scope import Caller, require_region
from app.status.row import UNPUBLISHED, StatusEntry


@dataclass(frozen=True, slots=True)
class StatusFilter:
    region: str
    provider_id: int | None = None  # of a caller limited to one provider's sites
    state: str | None = None
    technology: str | None = None
    provider: str | None = None

    @classmethod
    def for_caller(
        cls,
        caller: Caller,
        region: str | None = None,
        state: str | None = None,
        technology: str | None = None,
        provider: str | None = None,
    ) -> "StatusFilter":
        """Raises NotAllowed for a region outside the caller's scope."""
        if region is not None:
            require_region(caller, region)
        return cls(region or caller.region_code, caller.provider_id, state, technology, provider)

    def covers(self, village_code: str, provider_id: int) -> bool:
        return (self.region == "64" or f"{village_code}.".startswith(f"{self.region}.")) and (
            self.provider_id is None or self.provider_id == provider_id
        )

    def matches(self, entry: StatusEntry) -> bool:
        return (
            entry.published is not UNPUBLISHED
            and (self.state is None or entry.published.state == self.state)
            and (self.technology is None or entry.site.technology == self.technology)
            and (self.provider is None or entry.site.provider == self.provider)
            and self.covers(entry.site.village_code, entry.provider_id)
        )
