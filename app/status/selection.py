"""Which sites an answer is about: the caller's scope and what was asked for."""

from dataclasses import dataclass

from app.access.scope import Caller, require_region
from app.status.row import NOTHING, Entry


@dataclass(frozen=True, slots=True)
class Selection:
    region: str
    provider_id: int | None = None  # of a caller who sees one provider's sites only
    state: str | None = None
    technology: str | None = None
    provider: str | None = None

    @classmethod
    def of(
        cls,
        caller: Caller,
        region: str | None = None,
        state: str | None = None,
        technology: str | None = None,
        provider: str | None = None,
    ) -> "Selection":
        """Raises NotAllowed for a region outside the caller's."""
        if region is not None:
            require_region(caller, region)
        return cls(region or caller.region_code, caller.provider_id, state, technology, provider)

    def reaches(self, village_code: str, provider_id: int) -> bool:
        return (self.region == "64" or f"{village_code}.".startswith(f"{self.region}.")) and (
            self.provider_id is None or self.provider_id == provider_id
        )

    def holds(self, entry: Entry) -> bool:
        return (
            entry.shown is not NOTHING
            and (self.state is None or entry.shown.state == self.state)
            and (self.technology is None or entry.site.technology == self.technology)
            and (self.provider is None or entry.site.provider == self.provider)
            and self.reaches(entry.site.village_code, entry.provider_id)
        )
