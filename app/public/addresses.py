"""The addresses of the public pages and files. There are only these: whatever else is asked for is not cached."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from app.access.scope import PROVINCE
from app.public.editions.edition import Edition
from app.public.publication import Publication
from app.registry import regions

ENGLISH = "/en"
VERIFY = "/verifikasi"
MEASURE = "/ukur"


class PageKind(StrEnum):
    HOME = "home"
    DISTRICT = "district"
    VILLAGE = "village"
    METHOD = "method"
    DATA = "data"
    FILE = "file"
    EDITIONS = "editions"
    EDITION = "edition"
    EDITION_FILE = "edition_file"


class DataFile(StrEnum):
    VILLAGES = "desa.csv"
    VILLAGES_GEOJSON = "desa.geojson"
    VILLAGE_MONTHS = "desa-bulanan.csv"
    DISTRICT_MONTHS = "kabupaten-bulanan.csv"
    DICTIONARY = "kamus.csv"


FILES = {PageKind.FILE, PageKind.EDITION_FILE}  # the same in both languages
OF_VILLAGES = {DataFile.VILLAGES, DataFile.VILLAGES_GEOJSON, DataFile.VILLAGE_MONTHS}


class Address(NamedTuple):
    """`code`: a region's, a month, or a file's name. Files are the same in both languages, and have one address."""

    kind: PageKind
    language: str
    code: str = ""

    @property
    def path(self) -> str:
        return path_of(self.kind, self.code, self.language)

    def in_language(self, language: str) -> "Address":
        return self._replace(language=language)


def path_of(kind: PageKind, code: str = "", language: str = "id") -> str:
    """Return the path of a page; English ones stand below /en."""
    prefix = ENGLISH if language == "en" and kind not in FILES else ""
    if kind is PageKind.HOME:
        return prefix or "/"
    return (
        prefix
        + {
            PageKind.DISTRICT: f"/kabupaten/{code}",
            PageKind.VILLAGE: f"/desa/{code}",
            PageKind.METHOD: "/metode",
            PageKind.DATA: "/data",
            PageKind.FILE: f"/data/{code}",
            PageKind.EDITIONS: "/data-terbuka",
            PageKind.EDITION: f"/data-terbuka/{code}",
            PageKind.EDITION_FILE: f"/data-terbuka/{code}",
        }[kind]
    )


def list_addresses(publication: Publication, editions: Mapping[date, Sequence[Edition]]) -> Iterator[Address]:
    """Yield every address that is published; `editions`: those that may be shown."""
    kinds = [(PageKind.HOME, ""), (PageKind.METHOD, "")]
    if publication.shows_anything:
        kinds += [
            (PageKind.DATA, ""),
            (PageKind.EDITIONS, ""),
            *((PageKind.DISTRICT, code) for code in regions.children(PROVINCE)),
        ]
    if publication.shows_villages:
        kinds += [(PageKind.VILLAGE, code) for code in villages()]
    if publication.shows_anything:
        kinds += [(PageKind.EDITION, of_month[0].period) for of_month in editions.values()]
    for kind, code in kinds:
        yield from (Address(kind, language, code) for language in ("id", "en"))
    if publication.shows_anything:
        yield from (
            Address(PageKind.FILE, "id", file)
            for file in DataFile
            if publication.shows_villages or file not in OF_VILLAGES
        )
        yield from (Address(PageKind.EDITION_FILE, "id", path) for path in _edition_files(editions))


def _edition_files(editions: Mapping[date, Sequence[Edition]]) -> Iterator[str]:
    """Yield the paths of all editions' files, and of the latest ones without their version."""
    for of_month in editions.values():
        yield from (f"{of_month[0].period}/{file.name}" for file in of_month[0].files)
        yield from (f"{edition.folder}/{file.name}" for edition in of_month for file in edition.files)


@cache
def villages() -> list[str]:
    """Return the codes of all villages, dissolved ones excepted."""
    return sorted(
        row["code"] for row in regions.read_csv() if row["level"] == "desa_kelurahan" and row["valid_to"] is None
    )
