"""The month's list as a table: a row for each site and contract."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.aggregates.series_tables import name_group, table
from app.availability.contract_columns import CONTRACT_COLUMNS
from app.contracts.sla_schemas import SlaOut
from app.core.tables import MOMENT, Column, Table, Text
from app.registry.models import Provider
from app.registry.site_labels import CODE, NAME, PROVIDER, REGION_COLUMNS, TECHNOLOGY

WHAT = Text("Pemenuhan kontrak", "Contracts met and missed")
CORRECTION = (
    *CONTRACT_COLUMNS,
    Column("recorded_at", "Dicatat", "Recorded", MOMENT),
    Column("corrected_because", "Alasan", "Reason"),
)
COLUMNS = (
    CODE,
    NAME,
    *REGION_COLUMNS,
    PROVIDER,
    TECHNOLOGY,
    Column("service_no", "Nomor layanan (SID)", "Service number"),
    Column("contract_number", "Nomor kontrak", "Contract number", path="contract.number"),
    *CONTRACT_COLUMNS,
    Column(
        "closed_at",
        "Bulan ditutup",
        "Month closed",
        MOMENT,
        arti="bulan yang ditutup tidak berubah lagi; koreksi tercatat di sebelahnya",
        meaning="a closed month never changes; a correction stands beside it",
    ),
    *(column.under("correction", "Koreksi", "Correction", sparse=True) for column in CORRECTION),
)


async def sla_table(session: AsyncSession, response: SlaOut, group: SiteGroup) -> Table:
    names = {row.slug: row.name for row in await session.execute(select(Provider.slug, Provider.name))}
    rows = [{**row.model_dump(), "provider": names[row.provider]} for row in response.items]
    name = (await name_group(session, group)).title
    title = Text(*(f"{what}: {of}" for what, of in zip(WHAT, name, strict=True)))
    return table(title, response, COLUMNS, rows)
