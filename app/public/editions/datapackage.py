"""`datapackage.json`: a month's datasets described as a Data Package (https://datapackage.org, version 2)."""

import re
from collections.abc import Sequence
from typing import Any

from app.core.clock import to_wita
from app.core.periods import whole_month
from app.public.editions.data_files import EditionFile, media_type
from app.public.editions.datasets import DATASETS, Dataset
from app.public.editions.edition import Edition

PROFILE = "https://datapackage.org/profiles/2.0/"
KEYWORDS = ["internet gratis desa", "ketersediaan layanan", "Kalimantan Timur", "Satu Data Indonesia"]
NAME = "internet-desa-kaltim"
DIALECT = {"delimiter": ",", "lineTerminator": "\r\n", "quoteChar": '"', "header": True}
BY_NAME = {dataset.name: dataset for dataset in DATASETS}


def title_of(edition: Edition) -> str:
    mark = "SIMULASI: " if edition.terms.simulated else ""
    return f"{mark}Internet gratis desa Kalimantan Timur, {edition.period}"


def about(edition: Edition) -> str:
    """Return what the datasets are, in Bahasa Indonesia and English."""
    simulated = "Data simulasi: tidak ada desa yang diukur. Simulated: no village was measured. "
    reason = f" Versi {edition.version}: {edition.reason.words.indonesian}." if edition.reason else ""
    return (
        f"{simulated if edition.terms.simulated else ''}"
        "Mutu layanan titik akses internet gratis di desa dan kelurahan, diukur sepanjang bulan. Tanpa data pribadi "
        "dan tanpa posisi perangkat: tempat desa adalah titik tengah wilayahnya. Quality of the free internet access "
        "points of villages, measured throughout the month, without personal data or positions of equipment."
        f"{reason}"
    )


def dataset_of(file: EditionFile) -> Dataset:
    return BY_NAME[file.name.partition(".")[0]]


def describe(edition: Edition, files: Sequence[EditionFile]) -> dict[str, Any]:
    terms, period = edition.terms, whole_month(edition.month)
    url = {} if terms.url is None else {"homepage": f"{terms.url}/data-terbuka/{edition.period}"}
    identity = {} if terms.url is None else {"id": f"{terms.url}/data-terbuka/{edition.folder}/datapackage.json"}
    return {
        "$schema": f"{PROFILE}datapackage.json",
        "name": f"{NAME}-{edition.period}",
        **identity,
        "title": title_of(edition),
        "description": about(edition),
        "version": f"{edition.version}.0.0",
        "created": to_wita(edition.published_at).isoformat(),
        **url,
        "licenses": [{"name": licence_id(terms.licence), "title": terms.licence, "path": terms.licence_url}],
        "contributors": [{"title": terms.publisher, "roles": ["publisher", "producer"]}],
        "sources": [{"title": f"Pengukuran Sinyal Desa, {terms.publisher}"}],
        "keywords": KEYWORDS,
        "temporal": {
            "start": to_wita(period.start).isoformat(),
            "end": to_wita(period.end).isoformat(),
            "timezone": "WITA",
        },
        "spatial": {"code": "64", "name": "Kalimantan Timur", "codes": "Kemendagri"},
        "frequency": "bulanan",
        "sha256": edition.sha256,
        "reason": edition.reason and edition.reason.words.indonesian,
        "resources": [resource(file) for file in files],
    }


def resource(file: EditionFile) -> dict[str, Any]:
    """Return the description of a data file: CSV is the table; the other formats name the table that they repeat."""
    dataset, extension = dataset_of(file), file.name.partition(".")[2]
    table = {"type": "table", "schema": schema_of(dataset), "dialect": DIALECT}
    return {
        "name": file.name,
        "path": file.name,
        "title": dataset.title.indonesian,
        "description": dataset.about.indonesian,
        "title_en": dataset.title.english,
        "description_en": dataset.about.english,
        "format": extension,
        "mediatype": media_type(file.name).partition(";")[0],
        "encoding": "utf-8",
        "bytes": len(file.body),
        "hash": f"sha256:{file.sha256}",
        **(table if extension == "csv" else {"same_as": f"{dataset.name}.csv"}),
    }


def schema_of(dataset: Dataset) -> dict[str, Any]:
    return {
        "$schema": f"{PROFILE}tableschema.json",
        "fields": [column.schema for column in dataset.columns],
        "primaryKey": list(dataset.key),
        "missingValues": [""],
    }


def licence_id(licence: str) -> str:
    """Return `CC-BY-4.0` for `CC BY 4.0`."""
    return re.sub(r"[^-a-zA-Z0-9._]+", "-", licence).strip("-") or "other"
