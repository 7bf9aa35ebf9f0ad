"""Aggregates as tables: what each row is about beside its figures, and the total in the last row.

The total is no average of the rows above it; the column `row` tells them apart.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite, SiteGroup
from app.core.i18n import write_moment
from app.core.periods import Period
from app.core.tables import MOMENT, Column, Table, Text
from app.registry import regions
from app.registry.indonesian import TECHNOLOGIES
from app.registry.models import Provider
from app.registry.site_labels import PROVIDER, SITE_LABELS, TECHNOLOGY, load_labels

ROW = Column("row", "Baris", "Row", words={"part": "bagian", "total": "jumlah"})
PART = (Column("start", "Mulai", "Start", MOMENT), Column("end", "Sampai", "End", MOMENT))
REGION_CODE = Column("region_code", "Kode wilayah", "Region code")
REGION = Column("region", "Wilayah", "Region")
GROUP_LABELS = (REGION_CODE, REGION, PROVIDER, TECHNOLOGY)


class GroupName(NamedTuple):
    """What a group of sites is called, and its labels by the names of GROUP_LABELS; None: all together."""

    title: Text
    labels: dict[str, Any]


async def site_table(
    session: AsyncSession, response: Any, site: SingleSite, *, what: Text, columns: Sequence[Column]
) -> Table:
    """Return the table of a site's response that has `series` and `total`."""
    labels = await label_site(session, site, response.to)
    title = of_site(what, labels)
    return table(title, response, [*SITE_LABELS, ROW, *columns], series_rows(response, labels))


async def label_site(session: AsyncSession, site: SingleSite, end: datetime) -> dict[str, Any]:
    """Return the site's labels as of `end`; for a provider those from when the site was its own."""
    labels = await load_labels(session, [site.site_id], end, provider_id=site.contracts_of)
    return labels.of(site.site_id)


async def group_table(
    session: AsyncSession, response: Any, group: SiteGroup, *, what: Text, columns: Sequence[Column]
) -> Table:
    """Return the table of a group's response that has `series` and `total`; each row has the group's labels."""
    name = await name_group(session, group)
    title = Text(*(f"{text} {of}" for text, of in zip(what, name.title, strict=True)))
    labels = [column for column in GROUP_LABELS if column not in columns]
    return table(title, response, [*labels, ROW, *columns], series_rows(response, name.labels))


def series_rows(response: Any, labels: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each part and one for the total; `sites` stands in the total where only the whole has it."""
    rows = [{**labels, "row": "part", **row.model_dump()} for row in response.series]
    total = {**labels, "row": "total", **response.total.model_dump()}
    return [*rows, total | ({"sites": response.sites} if hasattr(response, "sites") else {})]


def table(
    title: Text, response: Any, columns: Sequence[Column], rows: Sequence[dict[str, Any]], *, subject: str = ""
) -> Table:
    """Return a table of the response's period, with notes on what may still change and on what was simulated."""
    period = Period(response.from_, response.to)
    return Table(title, columns, rows, period=period, notes=notes(response), subject=subject)


def notes(response: BaseModel) -> list[Text]:
    """Return the notes that the response's own moments call for."""
    texts = []
    if (settled := getattr(response, "settled_until", None)) is not None:
        at = Text(write_moment(settled), write_moment(settled, language="en"))
        texts.append(
            Text(
                f"Sebelum {at.indonesian} angka hanya berubah karena koreksi",
                f"Before {at.english}, figures change by corrections only",
            )
        )
    if (simulated := getattr(response, "simulated_until", None)) is not None:
        at = Text(write_moment(simulated), write_moment(simulated, language="en"))
        texts.append(
            Text(
                f"SIMULASI: semua sebelum {at.indonesian} disimulasikan, bukan hasil pengukuran",
                f"SIMULATED: all before {at.english} was simulated, not measured",
            )
        )
    return texts


def of_site(what: Text, labels: dict[str, Any]) -> Text:
    name = f"{labels.get('name')} ({labels.get('code')})"
    return Text(f"{what.indonesian} {name}", f"{what.english} {name}")


async def name_group(session: AsyncSession, group: SiteGroup) -> GroupName:
    """Return the group's name, such as `Kabupaten Kutai Kartanegara (64.02), Telkom WMS, serat optik`."""
    provider = None
    if group.provider_id is not None:
        provider = (await session.get_one(Provider, group.provider_id)).name
    region = regions.names()[group.region]
    technology = group.technology and group.technology.value
    labels = {"region_code": group.region, "region": region, "provider": provider, "technology": technology}
    parts = [f"{region} ({group.region})", *([provider] if provider else [])]
    indonesian, english = parts, parts
    if technology:
        indonesian, english = [*parts, TECHNOLOGIES[technology]], [*parts, technology]
    return GroupName(Text(", ".join(indonesian), ", ".join(english)), labels)
