"""The addresses of the public pages and files. There are only these: whatever else is asked for is not cached."""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from app.access.scope import PROVINCE
from app.public.publication import Publication
from app.registry import regions

ENGLISH = "/en"


class PageKind(StrEnum):
    HOME = "home"
    DISTRICT = "district"
    VILLAGE = "village"
    METHOD = "method"
    DATA = "data"
    FILE = "file"


class DataFile(StrEnum):
    VILLAGES = "desa.csv"
    VILLAGES_GEOJSON = "desa.geojson"
    VILLAGE_MONTHS = "desa-bulanan.csv"
    DISTRICT_MONTHS = "kabupaten-bulanan.csv"
    DICTIONARY = "kamus.csv"


OF_VILLAGES = {DataFile.VILLAGES, DataFile.VILLAGES_GEOJSON, DataFile.VILLAGE_MONTHS}


class Address(NamedTuple):
    """`code`: a region's, or a file's name. Files are the same in both languages, and have one address."""

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
    prefix = ENGLISH if language == "en" and kind is not PageKind.FILE else ""
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
        }[kind]
    )


def list_addresses(publication: Publication) -> Iterator[Address]:
    """Yield every address that is published."""
    kinds = [(PageKind.HOME, ""), (PageKind.METHOD, "")]
    if publication.shows_anything:
        kinds += [(PageKind.DATA, ""), *((PageKind.DISTRICT, code) for code in regions.children(PROVINCE))]
    if publication.shows_villages:
        kinds += [(PageKind.VILLAGE, code) for code in villages()]
    for kind, code in kinds:
        yield from (Address(kind, language, code) for language in ("id", "en"))
    if publication.shows_anything:
        yield from (
            Address(PageKind.FILE, "id", file)
            for file in DataFile
            if publication.shows_villages or file not in OF_VILLAGES
        )


@cache
def villages() -> list[str]:
    """Return the codes of all villages, dissolved ones excepted."""
    return sorted(
        row["code"] for row in regions.read_csv() if row["level"] == "desa_kelurahan" and row["valid_to"] is None
    )
