"""Select sites by the caller's scope and the query's filters."""

from dataclasses import dataclass

from app.access.scope import PROVINCE, Caller, covers, require_region
from app.status.row import UNPUBLISHED, StatusEntry


@dataclass(frozen=True, slots=True)
class StatusFilter:
    """Of several values any may match; () filters nothing. Equal sets, sorted, are equal: bodies are cached by it."""

    regions: tuple[str, ...]
    provider_id: int | None = None  # of a caller limited to one provider's sites
    states: tuple[str, ...] = ()
    technologies: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()

    @classmethod
    def for_caller(
        cls,
        caller: Caller,
        regions: tuple[str, ...] = (),
        states: tuple[str, ...] = (),
        technologies: tuple[str, ...] = (),
        providers: tuple[str, ...] = (),
    ) -> "StatusFilter":
        """Raises NotAllowed for a region outside the caller's scope."""
        for region in regions:
            require_region(caller, region)
        return cls(regions or (caller.region_code,), caller.provider_id, states, technologies, providers)

    def covers(self, village_code: str, provider_id: int) -> bool:
        within = PROVINCE in self.regions or any(covers(region, village_code) for region in self.regions)
        return within and (self.provider_id is None or self.provider_id == provider_id)

    def matches(self, entry: StatusEntry) -> bool:
        return (
            entry.published is not UNPUBLISHED
            and (not self.states or entry.published.state in self.states)
            and (not self.technologies or entry.site.technology in self.technologies)
            and (not self.providers or entry.site.provider in self.providers)
            and self.covers(entry.site.village_code, entry.provider_id)
        )
