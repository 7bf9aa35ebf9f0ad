"""Writes a month's datasets as CSV, JSON and GeoJSON: the same rows give the same bytes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from app.core.tabular import csv_text
from app.public.editions.datasets import DATASETS, Dataset
from app.public.editions.figures import Row, Rows
from app.registry import regions

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "geojson": "application/geo+json",
    "jsonld": "application/ld+json",
    "": "text/plain; charset=utf-8",
}
SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class EditionFile:
    """A file of an edition."""

    name: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def media_type(name: str) -> str:
    return MEDIA_TYPES[name.partition(".")[2]]


def write_data_files(rows: Rows) -> list[EditionFile]:
    """Return a file for each format of each dataset that has rows to tell of, also if these are none."""
    return [
        EditionFile(f"{dataset.name}.{extension}", WRITERS[extension](dataset, rows[dataset.name]))
        for dataset in DATASETS
        if dataset.name in rows
        for extension in dataset.formats
    ]


def check_sums(files: Sequence[EditionFile]) -> bytes:
    """Return the lines that `sha256sum --check` reads, by name."""
    lines = (f"{file.sha256}  {file.name}\n" for file in sorted(files, key=lambda file: file.name))
    return "".join(lines).encode()


def digest_of(files: Sequence[EditionFile]) -> str:
    """Return the SHA-256 over the check sums of the files: one number for all of them."""
    return hashlib.sha256(check_sums(files)).hexdigest()


def _csv(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    """Return UTF-8 without a byte order mark, lines ending in CRLF, as RFC 4180 has it."""
    names = [column.name for column in dataset.columns]
    return csv_text([names, *([row[name] for name in names] for row in rows)]).encode()


def _json(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    return orjson.dumps([_ordered(dataset, row) for row in rows], option=orjson.OPT_INDENT_2) + b"\n"


def _geojson(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    """Return the villages at their centroids."""
    features = [
        {
            "type": "Feature",
            "id": row["village_code"],
            "geometry": {"type": "Point", "coordinates": _centroids()[row["village_code"]]},
            "properties": _ordered(dataset, row),
        }
        for row in rows
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features}) + b"\n"


def _ordered(dataset: Dataset, row: Row) -> Mapping[str, Any]:
    return {column.name: row[column.name] for column in dataset.columns}


@cache
def _centroids() -> dict[str, tuple[float, float]]:
    return {row["code"]: (row["longitude"], row["latitude"]) for row in regions.read_csv()}


WRITERS = {"csv": _csv, "json": _json, "geojson": _geojson}
