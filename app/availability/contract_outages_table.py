"""The outages behind a contract's verdict as a table: the annex of a letter."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite
from app.aggregates.series_tables import label_site, of_site, table
from app.availability.contract_columns import EXCLUDED_COLUMNS, LINK_ROLES
from app.availability.contract_outage_schemas import ContractOutages
from app.core.tables import MOMENT, SECONDS, SENTENCES, Column, Table, Text
from app.registry.indonesian import CAUSES
from app.registry.site_labels import SITE_LABELS

WHAT = Text("Putus layanan menurut kontrak:", "Outages as the contract counts them:")
AS_KNOWN_NOW = Text(
    "Bulan ini sudah ditutup: angka di sini menurut keadaan sekarang, angka penutupan ada di daftar bulanan.",
    "This month is closed: figures here are as known now, those it was closed with are in the month's list.",
)
KINDS = {"downtime": "putus", "degraded": "menurun"}
COUNTED_COLUMNS = (
    Column("link_role", "Jalur", "Link", words=LINK_ROLES),
    Column("kind", "Jenis", "Kind", words=KINDS),
    Column("last_ok_at", "Jawaban terakhir sebelumnya", "Last answer before", MOMENT),
    Column("started_at", "Mulai", "Start", MOMENT, arti="kehilangan pertama", meaning="the first loss"),
    Column("confirmed_at", "Dipastikan", "Confirmed", MOMENT),
    Column("ended_at", "Sampai", "End", MOMENT, arti="jawaban berikutnya", meaning="the next answer"),
    Column("duration_s", "Lama", "Duration", SECONDS),
    Column("duration_min_s", "Lama, terbukti", "Duration proven", SECONDS),
    Column("duration_max_s", "Lama, paling banyak", "Duration at most", SECONDS),
    Column(
        "counted_s",
        "Dihitung putus",
        "Counted down",
        SECONDS,
        arti="di dalam masa ini",
        meaning="within the period",
    ),
    *EXCLUDED_COLUMNS,
    Column("unknown_s", "Tidak diketahui", "Unknown", SECONDS),
    Column(
        "compared_s",
        "Lama yang dibandingkan",
        "Duration compared",
        SECONDS,
        arti="yang terbukti, di dalam jam layanan, di luar pemeliharaan: dibandingkan dengan batas kontrak",
        meaning="proven, within service hours, outside maintenance: compared with the contract's least duration",
    ),
    Column("min_outage_s", "Batas kontrak", "Contract's least duration", SECONDS),
    Column("why", "Penjelasan", "Why", SENTENCES),
    Column("cause", "Penyebab", "Cause", words=CAUSES),
    Column("cause_set_by", "Penyebab ditetapkan oleh", "Cause set by"),
    Column("cause_set_at", "Penyebab ditetapkan", "Cause set at", MOMENT),
    Column("incident_id", "Nomor gangguan", "Incident number"),
    Column("ticket_no", "Nomor tiket", "Ticket number"),
)
COLUMNS = (
    *(column for column in SITE_LABELS if column.name != "contract_number"),
    Column("contract_number", "Nomor kontrak", "Contract number", path="contract.number"),
    *COUNTED_COLUMNS,
)


async def contract_outages_table(session: AsyncSession, response: ContractOutages, site: SingleSite) -> Table:
    labels = await label_site(session, site, response.to)
    rows = [{**labels, **outage.model_dump()} for outage in response.items]
    whole = table(of_site(WHAT, labels), response, COLUMNS, rows, subject=site.subject)
    return whole if response.closed_at is None else replace(whole, notes=[*whole.notes, AS_KNOWN_NOW])
