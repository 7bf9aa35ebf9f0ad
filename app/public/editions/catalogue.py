"""What catalogues harvest of an edition: a dataset of CKAN, a dataset of DCAT, and a dictionary for spreadsheets."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from app.core.clock import to_wita
from app.core.periods import whole_month
from app.core.tabular import csv_text
from app.public.editions import datapackage
from app.public.editions.data_files import EditionFile, media_type
from app.public.editions.datasets import DATASETS
from app.public.editions.edition import Edition

CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
SHA256 = "http://spdx.org/rdf/terms#checksumAlgorithm_sha256"
MONTHLY = "http://publications.europa.eu/resource/authority/frequency/MONTHLY"
STANDARD = ("konsep", "definisi", "klasifikasi", "ukuran", "satuan")


def ckan(edition: Edition, files: Sequence[EditionFile]) -> dict[str, Any]:
    """Return the answer of CKAN's `package_show`, which its harvesters read."""
    terms, at = edition.terms, _moment(edition)
    name = f"{datapackage.NAME}-{edition.period}"
    period = whole_month(edition.month)
    extras = {
        "periode_awal": to_wita(period.start).isoformat(),
        "periode_akhir": to_wita(period.end).isoformat(),
        "frekuensi": "bulanan",
        "kode_wilayah": "64",
        "referensi_kode": "Kemendagri",
        "sha256": edition.sha256,
        "alasan_versi": edition.reason.words.indonesian if edition.reason else "",
    }
    result = {
        "id": _id(name),
        "name": name,
        "title": datapackage.title_of(edition),
        "notes": datapackage.about(edition),
        "version": f"{edition.version}",
        "type": "dataset",
        "state": "active",
        "private": False,
        "isopen": True,
        "author": terms.publisher,
        "maintainer": terms.publisher,
        "organization": {
            "id": _id(terms.publisher),
            "name": _slug(terms.publisher),
            "title": terms.publisher,
            "type": "organization",
        },
        "license_id": datapackage.licence_id(terms.licence),
        "license_title": terms.licence,
        "license_url": terms.licence_url,
        "metadata_created": at,
        "metadata_modified": at,
        "url": _url(edition, ""),
        "tags": [{"name": word, "display_name": word} for word in datapackage.KEYWORDS],
        "num_tags": len(datapackage.KEYWORDS),
        "extras": [{"key": key, "value": value} for key, value in extras.items()],
        "resources": [_ckan_resource(edition, file, number) for number, file in enumerate(files)],
        "num_resources": len(files),
    }
    return {"help": "package_show", "success": True, "result": result}


def _ckan_resource(edition: Edition, file: EditionFile, position: int) -> dict[str, Any]:
    described, at = datapackage.resource(file), _moment(edition)
    return {
        "id": _id(f"{edition.folder}/{file.name}"),
        "package_id": _id(f"{datapackage.NAME}-{edition.period}"),
        "position": position,
        "name": file.name,
        "description": described["description"],
        "url": _url(edition, file.name),
        "format": described["format"].upper(),
        "mimetype": described["mediatype"],
        "size": len(file.body),
        "hash": file.sha256,
        "created": at,
        "last_modified": at,
        "state": "active",
        "schema": datapackage.schema_of(datapackage.dataset_of(file)),
    }


def dcat(edition: Edition, files: Sequence[EditionFile]) -> dict[str, Any]:
    """Return the edition as a `dcat:Dataset` in JSON-LD, with a distribution for each file."""
    terms, period = edition.terms, whole_month(edition.month)
    return {
        "@context": CONTEXT,
        "@id": _url(edition, ""),
        "@type": "dcat:Dataset",
        "dct:identifier": f"{datapackage.NAME}-{edition.period}",
        "dct:title": {"@language": "id", "@value": datapackage.title_of(edition)},
        "dct:description": {"@language": "id", "@value": datapackage.about(edition)},
        "dct:issued": _typed(_moment(edition), "dateTime"),
        "dct:modified": _typed(_moment(edition), "dateTime"),
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": terms.publisher},
        "dct:language": ["id", "en"],
        "dct:accrualPeriodicity": {"@id": MONTHLY},
        "dct:spatial": {"@type": "dct:Location", "dct:identifier": "64", "dct:title": "Kalimantan Timur"},
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _typed(to_wita(period.start).isoformat(), "dateTime"),
            "dcat:endDate": _typed(to_wita(period.end).isoformat(), "dateTime"),
        },
        "dcat:keyword": datapackage.KEYWORDS,
        "dcat:version": f"{edition.version}",
        "dcat:distribution": [_distribution(edition, file) for file in files],
    }


def _distribution(edition: Edition, file: EditionFile) -> dict[str, Any]:
    title = datapackage.dataset_of(file).title.indonesian
    return {
        "@type": "dcat:Distribution",
        "dct:title": {"@language": "id", "@value": title},
        "dcat:accessURL": {"@id": _url(edition, "")},
        "dcat:downloadURL": {"@id": _url(edition, file.name)},
        "dct:license": {"@id": edition.terms.licence_url},
        "dcat:mediaType": media_type(file.name).partition(";")[0],
        "dcat:byteSize": _typed(f"{len(file.body)}", "nonNegativeInteger"),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": SHA256},
            "spdx:checksumValue": _typed(file.sha256, "hexBinary"),
        },
    }


def dictionary(names: Sequence[str]) -> bytes:
    """Return every column of these datasets with its standard, as CSV."""
    rows = [
        [dataset.name, column.name, *(column.standard[part] for part in STANDARD), column.title.english]
        for dataset in DATASETS
        if dataset.name in names
        for column in dataset.columns
    ]
    return csv_text([["dataset", "kolom", *STANDARD, "name_en"], *rows]).encode()


def _moment(edition: Edition) -> str:
    return to_wita(edition.published_at).isoformat(timespec="seconds")


def _typed(value: str, of: str) -> dict[str, str]:
    return {"@type": f"xsd:{of}", "@value": value}


def _url(edition: Edition, name: str) -> str:
    """Return the address of a file of this very version, or of the month's page."""
    where = f"{edition.folder}/{name}" if name else edition.period
    return f"{edition.terms.url or ''}/data-terbuka/{where}"


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"sinyal-desa/{name}"))


def _slug(name: str) -> str:
    return datapackage.licence_id(name).lower()
