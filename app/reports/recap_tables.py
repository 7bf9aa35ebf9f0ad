"""A yearly recapitulation as a workbook: its months, and on a further sheet its sites. Pure."""

from app.availability.contract_columns import COUNTED
from app.core.tables import COUNT, MOMENT, Column, Table, Text
from app.registry.site_labels import CODE, NAME
from app.reports.berita_acara_tables import COVERED, FEE, LINK_ROLE, RUPIAH, SECONDS_COLUMNS, notes
from app.reports.paper_frame import PaperHeading
from app.reports.recap_schemas import RecapData

[AVAILABILITY] = [column for column in COUNTED if column.name == "availability_pct"]
RESTITUTION = Column("restitution_idr", "Restitusi", "Restitution", RUPIAH)
MONTH_COLUMNS = (
    Column("month", "Bulan", "Month"),
    Column("number", "Nomor", "Number"),
    Column("corrects", "Mengoreksi", "Corrects", sparse=True),
    Column("issued_at", "Terbit", "Issued", MOMENT),
    Column("sites", "Baris", "Lines", COUNT),
    AVAILABILITY,
    FEE,
    RESTITUTION,
    Column("least_idr", "Restitusi paling sedikit", "Restitution at least", RUPIAH),
    Column("most_idr", "Restitusi paling banyak", "Restitution at most", RUPIAH),
    Column("payable_idr", "Dibayarkan, sebelum pajak", "Payable, before tax", RUPIAH),
    Column("not_provable", "Baris yang tidak dapat dibuktikan", "Lines not provable", COUNT),
    COVERED,
    *SECONDS_COLUMNS,
    Column("sha256", "SHA-256 data", "SHA-256 of the data"),
)
SITE_COLUMNS = (
    *(CODE, NAME, LINK_ROLE),
    Column("village", "Desa/kelurahan", "Village"),
    Column("district", "Kabupaten/kota", "District"),
    Column("months", "Bulan", "Months", COUNT),
    AVAILABILITY,
    Column("missed", "Bulan tidak tercapai", "Months missed", COUNT),
    FEE,
    RESTITUTION,
    COVERED,
    *SECONDS_COLUMNS,
)


def recap_table(data: RecapData, heading: PaperHeading) -> Table:
    """Return the months; the sheet of the sites is its `further` one."""
    name = f"{heading.number}: {data.contract.number}, {data.contract.provider_name}, {data.period.month}"
    return Table(
        Text(f"Rekapitulasi {name}", f"Recapitulation {name}"),
        MONTH_COLUMNS,
        [row.model_dump() for row in data.months],
        notes=notes(data, heading),
        subject=heading.number,
        sheet=Text("Bulan", "Months"),
        further=[
            Table(None, SITE_COLUMNS, [row.model_dump() for row in data.sites], sheet=Text("Titik akses", "Sites"))
        ],
    )
