"""The delivery ledger as a table: who was told what, when, and what the receiver answered."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.alerts import notifications
from app.alerts.notifications import ToldFilter
from app.core.clock import today
from app.core.tables import COUNT, MOMENT, SENTENCES, Column, Row, Table, Text
from app.pages.alert_words import DELIVERY_PROBLEMS, NOTIFICATION_KINDS, NOTIFICATION_STATES
from app.registry import regions

PAGE_ROWS = 1_000
STEM, TITLE = "pemberitahuan", Text("Pemberitahuan yang dikirim", "Notifications")

COLUMNS = (
    Column("id", "Nomor pemberitahuan", "Notification"),
    Column("key", "Kunci", "Key", arti="tertera di dalam pesan", meaning="stands in the message"),
    Column("created_at", "Disusun", "Composed", MOMENT),
    Column("office_name", "Kantor", "Office"),
    Column("channel", "Saluran", "Channel", path="channel.name"),
    Column("service", "Layanan pesan", "Service", path="channel.service"),
    Column("provider", "Penyedia yang diberi tahu", "Provider told"),
    Column("kind", "Jenis", "Kind", words=NOTIFICATION_KINDS),
    Column("title", "Judul", "Title"),
    Column("incidents", "Gangguan", "Incidents", COUNT),
    Column("incident_ids", "Nomor gangguan", "Incident ids", arti="paling banyak 10", meaning="at most 10"),
    Column("state", "Pengiriman", "Delivery", words=NOTIFICATION_STATES),
    Column("settled_at", "Selesai dikirim", "Settled", MOMENT),
    Column("attempts", "Percobaan", "Attempts", COUNT),
    Column("http_status", "Jawaban HTTP", "HTTP status"),
    Column("receiver_id", "Nomor dari penerima", "Receiver's id"),
    Column("problem", "Masalah terakhir", "Last problem", words=DELIVERY_PROBLEMS),
    Column("fallback_of", "Pengganti pemberitahuan", "Fallback of"),
    Column("acknowledged_at", "Ditangani", "Acknowledged", MOMENT),
    Column("acknowledged_by", "Ditangani oleh", "Acknowledged by"),
    Column("text", "Isi pesan", "Text", SENTENCES),
)


async def build(session: AsyncSession, criteria: ToldFilter, *, caller: Caller, most: int) -> Table:
    """Return the table of what the filter selects, newest first; of more than `most` rows as many as tell so."""
    rows: list[Row] = []
    async for row in _each(session, criteria, caller=caller):
        rows.append(row | {"key": str(row["key"]), "incident_ids": ", ".join(map(str, row["incident_ids"])) or None})
        if len(rows) > most:
            break
    where = criteria.region or caller.region_code
    title = Text(*(f"{text}: {regions.names()[where]} ({where})" for text in TITLE))
    return Table(title, COLUMNS, rows, subject=f"{where}-{today()}")


async def _each(session: AsyncSession, criteria: ToldFilter, *, caller: Caller) -> AsyncIterator[dict[str, Any]]:
    after: notifications.PagePosition | None = None
    while True:
        page = await notifications.list_notifications(session, criteria, caller=caller, after=after, limit=PAGE_ROWS)
        for row in page:
            yield row
        if len(page) < PAGE_ROWS:
            return
        after = page[-1]["created_at"], page[-1]["id"]
        session.expunge_all()
