"""What an edition is called, and on which terms it was published."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from app.access.scope import covers
from app.core.tables import Text
from app.public.publication import Publication, PublicLevel

LEVELS = (PublicLevel.NONE, PublicLevel.DISTRICT, PublicLevel.VILLAGE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was published, by whom and how it may be used, as it was set when the edition was made.

    `url`: of this service, without a slash at its end; None where none is set. `simulated`: no village was measured.
    """

    level: str
    hidden_regions: Sequence[str]
    hidden_technologies: Sequence[str]
    publisher: str
    licence: str
    licence_url: str
    url: str | None
    simulated: bool

    @classmethod
    def of(cls, publication: Publication, *, url: str | None, simulated: bool) -> "Terms":
        return cls(
            publication.level.value,
            sorted(publication.hidden_regions),
            sorted(publication.hidden_technologies),
            publication.publisher,
            publication.licence,
            publication.licence_url,
            url,
            simulated,
        )

    def shows_as(self, other: "Terms") -> bool:
        """Whether the same is published, whoever publishes it."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("level", "hidden_regions", "hidden_technologies")
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class EditionReason(StrEnum):
    """Why there is another version: `figures` became known later; `published`: another choice of what is."""

    FIGURES = "figures"
    PUBLISHED = "published"

    @classmethod
    def of(cls, before: Terms, after: Terms) -> "EditionReason":
        return cls.FIGURES if before.shows_as(after) else cls.PUBLISHED

    @property
    def words(self) -> Text:
        return REASONS[self]


REASONS = {
    EditionReason.FIGURES: Text(
        "angka berubah karena data yang datang kemudian atau koreksi", "figures changed by late data or corrections"
    ),
    EditionReason.PUBLISHED: Text("pilihan yang diterbitkan berubah", "what is published has changed"),
}


class FileFacts(NamedTuple):
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a month's datasets."""

    month: date
    version: int
    published_at: datetime
    sha256: str
    reason: EditionReason | None
    terms: Terms
    files: tuple[FileFacts, ...] = ()

    @property
    def period(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def folder(self) -> str:
        """Return where its files stand, below the open data."""
        return f"{self.period}/v{self.version}"

    def may_be_shown(self, publication: Publication) -> bool:
        """Whether it tells nothing that is not published any more."""
        terms = self.terms
        return (
            publication.shows_anything
            and LEVELS.index(PublicLevel(terms.level)) <= LEVELS.index(publication.level)
            and publication.hidden_technologies <= set(terms.hidden_technologies)
            and all(any(covers(was, now) for was in terms.hidden_regions) for now in publication.hidden_regions)
        )


def find_file(editions: Mapping[date, Sequence[Edition]], path: str) -> tuple[Edition, FileFacts] | None:
    """Return the file at `2026-10/v1/gangguan-desa.csv`, or without a version that of the month's latest edition."""
    folder, _, name = path.rpartition("/")
    for of_month in editions.values():
        for number, edition in enumerate(of_month):
            if folder == edition.folder or (folder == edition.period and not number):
                file = next((file for file in edition.files if file.name == name), None)
                return None if file is None else (edition, file)
    return None


def shown_editions(editions: Sequence[Edition], publication: Publication) -> Mapping[date, Sequence[Edition]]:
    """Return the editions that may be shown by month, the newest months and versions first."""
    by_month: dict[date, list[Edition]] = {}
    for edition in sorted(editions, key=lambda edition: (edition.month, edition.version), reverse=True):
        if edition.may_be_shown(publication):
            by_month.setdefault(edition.month, []).append(edition)
    return by_month
