"""What the province publishes, by its settings: down to which level, and which regions and technologies not at all."""

from dataclasses import dataclass
from enum import StrEnum

from app.access.scope import PROVINCE
from app.settings import PublicSettings


class PublicLevel(StrEnum):
    VILLAGE = "village"
    DISTRICT = "district"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Publication:
    level: PublicLevel
    hidden_regions: tuple[str, ...]
    hidden_technologies: frozenset[str]
    publisher: str
    licence: str
    licence_url: str
    contacts: dict[str, str]

    @classmethod
    def from_settings(cls, settings: PublicSettings) -> "Publication":
        return cls(
            PublicLevel(settings.level),
            tuple(settings.hidden_regions),
            frozenset(settings.hidden_technologies),
            settings.publisher,
            settings.licence,
            settings.licence_url,
            settings.contacts,
        )

    @property
    def shows_villages(self) -> bool:
        return self.level is PublicLevel.VILLAGE

    @property
    def shows_anything(self) -> bool:
        return self.level is not PublicLevel.NONE

    def includes(self, village_code: str, technology: str) -> bool:
        """Whether an access point there is published, by itself or in sums."""
        return (
            self.shows_anything
            and technology not in self.hidden_technologies
            and not any(f"{village_code}.".startswith(f"{region}.") for region in self.hidden_regions)
        )

    def contact_of(self, region_code: str) -> str | None:
        """Return how to report an outage there: the district's text, else the province's."""
        return self.contacts.get(region_code[:5], self.contacts.get(PROVINCE))
