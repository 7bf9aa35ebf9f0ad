"""A site's segments as a table, each with the evidence that bounds it."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite
from app.aggregates.series_tables import label_site, of_site, table
from app.availability.schemas import SegmentsOut
from app.core.tables import MOMENT, SECONDS, Column, Table, Text
from app.registry.indonesian import EVIDENCE, STATES, UNKNOWN_REASONS
from app.registry.site_labels import SITE_LABELS

WHAT = Text("Riwayat status", "History of")
CLAIM = (
    Column("started_at", "Mulai", "Start", MOMENT),
    Column("ended_at", "Sampai", "End", MOMENT),
    Column("received_at", "Diterima", "Received", MOMENT),
    Column(
        "proven_state",
        "Status yang terbukti",
        "Proven state",
        words=STATES,
        arti="putus yang disanggah dihitung tidak diketahui, waktu yang tidak diketahui dihitung normal",
        meaning="a claimed outage counts as unknown, unknown time as up",
    ),
)
COLUMNS = (
    *SITE_LABELS,
    Column("started_at", "Mulai", "Start", MOMENT),
    Column("ended_at", "Sampai", "End", MOMENT),
    Column("duration_s", "Lama", "Duration", SECONDS),
    Column("state", "Status", "State", words=STATES),
    Column("unknown_reason", "Alasan tidak diketahui", "Reason unknown", words=UNKNOWN_REASONS),
    Column("last_ok_at", "Jawaban terakhir sebelumnya", "Last answer before", MOMENT),
    Column(
        "first_ok_after",
        "Jawaban pertama sesudahnya",
        "First answer after",
        MOMENT,
        arti="paling lambat, dari jawaban yang mengakhirinya",
        meaning="at the latest, of the answer that ended it",
    ),
    Column("confirmed_at", "Dipastikan", "Confirmed", MOMENT, arti="dari putus layanan", meaning="of an outage"),
    Column("evidence", "Bukti pertama", "First evidence", words=EVIDENCE),
    *(column.under("claim", "Keterangan perangkat", "Claim") for column in CLAIM),
)


async def segments_table(session: AsyncSession, response: SegmentsOut, site: SingleSite) -> Table:
    labels = await label_site(session, site, response.to)
    rows = [{**labels, **segment.model_dump()} for segment in response.items]
    return table(of_site(WHAT, labels), response, COLUMNS, rows, subject=site.subject)
