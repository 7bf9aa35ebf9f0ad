"""The open data: villages and districts as CSV and GeoJSON, with a dictionary of their columns."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.tables import COUNT, MOMENT, PERCENT, SECONDS, Column, Language, Table
from app.public import views
from app.public.addresses import DataFile, villages
from app.public.history import PUBLISHED
from app.public.publication import Publication
from app.public.service_seconds import DayVerdict, ServiceSeconds
from app.public.snapshot import PublicSnapshot
from app.registry import regions

MONTHS = 12  # whole ones, before the present month
CSV, GEOJSON = "text/csv; charset=utf-8", "application/geo+json"
BY_MONTH = text(f"""
    SELECT to_char(a.day, 'YYYY-MM') AS month, left(a.village_code, :width) AS code, count(DISTINCT a.day) AS days,
        sum(a.up + a.degraded)::bigint AS good, sum(a.down + a.unreachable)::bigint AS bad,
        sum(a.unknown)::bigint AS unknown, sum(a.maintenance)::bigint AS maintenance
    FROM availability_day a
    WHERE a.day >= :first AND {PUBLISHED} AND left(a.village_code, 13) = ANY(cast(:villages AS text[]))
    GROUP BY 1, 2 HAVING sum(a.inactive) < count(*) * 86400 ORDER BY 1, 2
""")

VILLAGE = (
    Column("village_code", "Kode desa/kelurahan", "Village code", arti="Kemendagri", meaning="Kemendagri"),
    Column("village", "Desa/kelurahan", "Village"),
    Column("subdistrict", "Kecamatan", "Kecamatan"),
)
DISTRICT = (
    Column("district_code", "Kode kabupaten/kota", "District code", arti="Kemendagri", meaning="Kemendagri"),
    Column("district", "Kabupaten/kota", "District"),
)
FIGURES = (
    Column("good_s", "Normal dan menurun", "Up and degraded", SECONDS),
    Column("bad_s", "Putus", "Down", SECONDS),
    Column("unknown_s", "Belum terpantau", "Not monitored", SECONDS),
    Column("maintenance_s", "Pemeliharaan", "Maintenance", SECONDS),
    Column(
        "uptime_pct",
        "Ketersediaan",
        "Uptime",
        PERCENT,
        arti="good_s / (good_s + bad_s)",
        meaning="good_s / (good_s + bad_s)",
    ),
    Column(
        "coverage_pct",
        "Data terpantau",
        "Coverage",
        PERCENT,
        arti="(good_s + bad_s) / (good_s + bad_s + unknown_s)",
        meaning="(good_s + bad_s) / (good_s + bad_s + unknown_s)",
    ),
    Column(
        "worst_pct",
        "Ketersediaan batas bawah",
        "Uptime, lower bound",
        PERCENT,
        arti="good_s / (good_s + bad_s + unknown_s)",
        meaning="good_s / (good_s + bad_s + unknown_s)",
    ),
    Column(
        "best_pct",
        "Ketersediaan batas atas",
        "Uptime, upper bound",
        PERCENT,
        arti="(good_s + unknown_s) / (good_s + bad_s + unknown_s)",
        meaning="(good_s + unknown_s) / (good_s + bad_s + unknown_s)",
    ),
)
STATES = "up, degraded, down, unknown"
NOW = (
    Column(
        "access_points",
        "Titik akses",
        "Access points",
        COUNT,
        arti="aktif dan diterbitkan",
        meaning="in service and published",
    ),
    Column(
        "state",
        "Status",
        "State",
        arti=f"{STATES} (normal, menurun, putus, belum terpantau): yang terbaik dari titik aksesnya",
        meaning=f"{STATES}: that of the best of its access points",
    ),
    Column("since", "Sejak", "Since", MOMENT, arti="awal status itu", meaning="when that state began"),
    Column("observed_at", "Keadaan pada", "As of", MOMENT),
)
LAST_DAYS = (
    Column(
        "days_normal",
        "Hari normal",
        "Normal days",
        COUNT,
        arti="dari 30 hari penuh terakhir: batas bawah harinya 95% atau lebih",
        meaning="of the last 30 whole days: the day's lower bound is 95% or more",
    ),
    Column(
        "days_disturbed",
        "Hari terganggu",
        "Disturbed days",
        COUNT,
        arti="batas atas di bawah 95%",
        meaning="upper bound below 95%",
    ),
    Column(
        "days_undetermined",
        "Hari yang belum cukup terpantau",
        "Undetermined days",
        COUNT,
        arti="batas bawah di bawah 95%, batas atas tidak",
        meaning="lower bound below 95%, upper bound not",
    ),
)
MONTH = (
    Column(
        "month",
        "Bulan",
        "Month",
        arti="WITA; bulan berjalan sampai hari terakhir yang dihitung",
        meaning="WITA; the present one up to the last day that is counted",
    ),
    Column("days", "Hari", "Days", COUNT, arti="hari yang dihitung", meaning="days that are counted"),
)
COLUMNS = {
    DataFile.VILLAGES: (*VILLAGE, *DISTRICT, *NOW, *LAST_DAYS, *FIGURES),
    DataFile.VILLAGE_MONTHS: (*VILLAGE, *DISTRICT, *MONTH, *FIGURES),
    DataFile.DISTRICT_MONTHS: (*DISTRICT, *MONTH, *FIGURES),
}
DICTIONARY = (
    Column("file", "Berkas", "File"),
    Column("column", "Kolom", "Column"),
    Column("satuan", "Satuan", "Unit"),
    Column("nama", "Nama", "Name in Indonesian"),
    Column("arti", "Arti", "Meaning in Indonesian"),
    Column("name", "Nama Inggris", "Name"),
    Column("meaning", "Arti Inggris", "Meaning"),
)


def media_type(file: DataFile) -> str:
    return GEOJSON if file is DataFile.VILLAGES_GEOJSON else CSV


def villages_csv(snapshot: PublicSnapshot) -> bytes:
    return _csv(DataFile.VILLAGES, list(_villages(snapshot)))


def villages_geojson(snapshot: PublicSnapshot) -> bytes:
    """Return the villages at their centroids."""
    columns = COLUMNS[DataFile.VILLAGES]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": _centroid(row["village_code"])},
            "properties": {column.name: column.cell(row, Language.API) for column in columns},
        }
        for row in _villages(snapshot)
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features})


async def months_csv(
    session: AsyncSession, file: DataFile, snapshot: PublicSnapshot, publication: Publication
) -> bytes:
    """Return the last twelve months and the present one up to the last day counted, of what is published now."""
    of_villages = file is DataFile.VILLAGE_MONTHS
    rows = await session.execute(
        BY_MONTH,
        {
            "width": 13 if of_villages else 5,
            "first": _first_month(snapshot.history.today),
            "technologies": sorted(publication.hidden_technologies),
            "regions": list(publication.hidden_regions),
            "villages": [*snapshot.villages] if of_villages else villages(),
        },
    )
    return _csv(file, [_region(row.code) | _month(row) for row in rows])


def dictionary_csv(publication: Publication) -> bytes:
    rows = [
        {
            "file": file.value,
            "column": column.name,
            "satuan": column.kind.unit.indonesian if column.kind.unit else "",
            "nama": column.indonesian,
            "arti": column.arti,
            "name": column.english,
            "meaning": column.meaning,
        }
        for file, columns in COLUMNS.items()
        for column in columns
        if publication.shows_villages or file is DataFile.DISTRICT_MONTHS
    ]
    return Table(None, DICTIONARY, rows).csv(Language.API)


def _csv(file: DataFile, rows: list[dict[str, Any]]) -> bytes:
    return Table(None, COLUMNS[file], rows).csv(Language.API)


def _villages(snapshot: PublicSnapshot) -> Iterator[dict[str, Any]]:
    for code in sorted(snapshot.villages):
        view = views.village_view(snapshot, code)
        assert view.village is not None
        yield {
            **_region(code),
            "access_points": len(view.village.access_points),
            "state": view.village.state.value,
            "since": view.village.best.since,
            "observed_at": snapshot.at,
            **{
                f"days_{verdict}": count
                for verdict, count in view.verdicts.items()
                if verdict is not DayVerdict.NO_SERVICE
            },
            **_figures(view.days.last_30),
        }


def _region(code: str) -> dict[str, Any]:
    names = regions.names()
    district = {"district_code": code[:5], "district": names[code[:5]]}
    if len(code) == 5:
        return district
    return {"village_code": code, "village": names[code], "subdistrict": names[code[:8]], **district}


def _month(row: Any) -> dict[str, Any]:
    seconds = ServiceSeconds(row.good, row.bad, row.unknown, row.maintenance)
    return {"month": row.month, "days": row.days, **_figures(seconds)}


def _figures(seconds: ServiceSeconds) -> dict[str, Any]:
    return {f"{name}_s": value for name, value in seconds._asdict().items()} | seconds.percentages


def _centroid(code: str) -> tuple[float, float]:
    row = views.region_rows()[code]
    return row["longitude"], row["latitude"]


def _first_month(today: date) -> date:
    return date(today.year - 1, today.month, 1)
