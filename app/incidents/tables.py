"""Incidents as tables: one row an incident, or one row an outage of a site within one."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from itertools import combinations
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates.series_tables import notes
from app.core.clock import today
from app.core.tables import COUNT, MOMENT, SECONDS, Column, Row, Table, Text
from app.incidents import serializers, store
from app.incidents.models import IncidentStatus
from app.incidents.selection import IncidentFilter
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry import regions
from app.registry.indonesian import CAUSES, EVIDENCE, INCIDENT_KINDS, INCIDENT_STATUSES, TECHNOLOGIES
from app.registry.models import Provider
from app.registry.site_labels import CODE, NAME, PROVIDER, REGION_COLUMNS, TECHNOLOGY, region_labels

PAGE_INCIDENTS = 1_000
SEPARATOR, MAX_JOINED = "; ", 10

JOINED_TECHNOLOGIES = {
    SEPARATOR.join(names): SEPARATOR.join(TECHNOLOGIES[name] for name in names)
    for number in range(1, len(TECHNOLOGIES) + 1)
    for names in combinations(sorted(TECHNOLOGIES), number)
}

IDENTITY = (
    Column("id", "Nomor gangguan", "Incident"),
    Column("kind", "Jenis", "Kind", words=INCIDENT_KINDS),
    Column("status", "Status", "Status", words=INCIDENT_STATUSES),
)
BOUNDS = (
    Column("last_ok_at", "Jawaban terakhir sebelumnya", "Last answer before", MOMENT),
    Column("started_at", "Mulai", "Start", MOMENT, arti="kehilangan pertama", meaning="the first loss"),
    Column("confirmed_at", "Dipastikan", "Confirmed", MOMENT),
    Column("ended_at", "Sampai", "End", MOMENT, arti="kosong selama masih putus", meaning="empty while it lasts"),
    Column(
        "first_ok_after",
        "Jawaban pertama sesudahnya",
        "First answer after",
        MOMENT,
        arti="paling lambat, dari jawaban yang mengakhirinya",
        meaning="at the latest, of the answer that ended it",
    ),
    Column("duration_s", "Lama", "Duration", SECONDS),
    Column(
        "duration_min_s",
        "Lama paling sedikit",
        "Duration at least",
        SECONDS,
        arti="terbukti oleh kehilangan; lama minimum dalam kontrak dibandingkan dengan ini",
        meaning="proven by losses: a contract's least duration is compared with it",
    ),
    Column(
        "duration_max_s",
        "Lama paling banyak",
        "Duration at most",
        SECONDS,
        arti="dari jawaban terakhir sebelumnya sampai jawaban pertama sesudahnya",
        meaning="from the last answer before to the first after",
    ),
)
HANDLING = (
    Column("cause", "Penyebab", "Cause", words=CAUSES),
    Column(
        "cause_hint",
        "Dugaan penyebab",
        "Suggested cause",
        words=CAUSES,
        arti="dari bukti; belum ditetapkan siapa pun",
        meaning="from the evidence; nobody confirmed it",
    ),
    Column("cause_confirmed_by", "Penyebab ditetapkan oleh", "Cause confirmed by"),
    Column("opened_at", "Dibuka", "Opened", MOMENT),
    Column("acknowledged_at", "Mulai ditangani", "Acknowledged", MOMENT),
    Column("acknowledged_by", "Ditangani oleh", "Acknowledged by"),
    Column("assignee", "Petugas", "Assignee"),
    Column("ticket_no", "Nomor tiket", "Ticket"),
    Column("reported_at", "Dilaporkan ke penyedia", "Reported to the provider", MOMENT),
)
COUNTS = (
    Column(
        "outages",
        "Putus layanan",
        "Outages",
        COUNT,
        arti="di titik akses dalam wilayah Anda",
        meaning="of sites in your scope",
    ),
    Column("children", "Titik akses di baliknya", "Sites behind it", COUNT),
    Column("refuted", "Disanggah perangkat", "Refuted", COUNT, arti="putus layanan", meaning="outages"),
)
REFUTATION = (
    Column("evidence", "Bukti pertama", "First evidence", words=EVIDENCE),
    Column("refuted_at", "Disanggah perangkat", "Refuted by its device", MOMENT),
    Column("refuted_s", "Waktu yang disanggah", "Refuted time", SECONDS),
    Column("refuted_signs", "Tanda pada sanggahan", "Signs at the refutation"),
)
CONTRACT = Column(
    "contract_number",
    "Nomor kontrak",
    "Contract number",
    arti="kontrak pada hari putus layanan mulai; dua bila ada jalur cadangan",
    meaning="on the day on which the outage began; two where there is a backup link",
)
MEMBER_LABELS = (CODE, NAME, *REGION_COLUMNS, PROVIDER, TECHNOLOGY, CONTRACT)
INCIDENT_LABELS = (CODE, NAME, *REGION_COLUMNS, PROVIDER, replace(TECHNOLOGY, words=JOINED_TECHNOLOGIES), CONTRACT)


class FileRows(StrEnum):
    """What one row of a file is: one of the `incidents`, or of their `members`, the outages of single sites."""

    INCIDENTS = "incidents"
    MEMBERS = "members"


COLUMNS = {
    FileRows.INCIDENTS: (
        *IDENTITY,
        *INCIDENT_LABELS,
        *BOUNDS,
        *HANDLING,
        *COUNTS,
        Column("merged_into", "Digabung ke", "Merged into"),
    ),
    FileRows.MEMBERS: (*IDENTITY, *MEMBER_LABELS, *BOUNDS, *HANDLING, *REFUTATION),
}
STEMS = {FileRows.INCIDENTS: "gangguan", FileRows.MEMBERS: "putus-layanan"}
TITLES = {
    FileRows.INCIDENTS: Text("Gangguan", "Incidents"),
    FileRows.MEMBERS: Text("Putus layanan dalam gangguan", "Outages within incidents"),
}


class _Earliest(MarksSimulatedPast):
    started_at: datetime


async def build(session: AsyncSession, criteria: IncidentFilter, rows: FileRows, *, caller: Caller, most: int) -> Table:
    """Return the table of what the filter selects, newest outage first; of more than `most` rows as many as tell so."""
    names = {provider.slug: provider.name for provider in await session.scalars(select(Provider))}
    found: list[Row] = []
    async for incident in _each(session, criteria, caller=caller):
        found += [_incident_row(incident, names)] if rows is FileRows.INCIDENTS else _member_rows(incident, names)
        if len(found) > most:
            break
    left_out = await store.count_left_out(session, criteria, caller=caller)
    remarks = notes(_Earliest(started_at=min(row["started_at"] for row in found))) if found else []
    where = criteria.regions or (caller.region_code,)
    places = ", ".join(f"{regions.names()[code]} ({code})" for code in where)
    title = Text(*(f"{text}: {places}" for text in TITLES[rows]))
    subject = "-".join([*where, *criteria.providers, *criteria.technologies][:3])
    return Table(
        title,
        COLUMNS[rows],
        found,
        period=criteria.period,
        notes=[*_left_out(left_out), *remarks],
        subject=subject if criteria.period else f"{subject}-{today()}",
    )


async def _each(session: AsyncSession, criteria: IncidentFilter, *, caller: Caller) -> AsyncIterator[dict[str, Any]]:
    """Yield incidents as the API has them, read by pages and forgotten again: a file may hold 60,000."""
    after: store.PagePosition | None = None
    while True:
        page = await store.list_incidents(session, criteria, caller=caller, after=after, limit=PAGE_INCIDENTS)
        for incident in await serializers.serialize(session, page, caller=caller):
            yield incident
        if len(page) < PAGE_INCIDENTS:
            return
        after = page[-1].started_at, page[-1].id
        session.expunge_all()


def _incident_row(incident: Mapping[str, Any], provider_names: Mapping[str, str]) -> Row:
    """Of the sites of a shared incident it names what they have in common, or up to MAX_JOINED values."""
    sites = [_labels(member, provider_names) for member in incident["sites"]]
    labels = {column.name: _joined(site[column.name] for site in sites) for column in MEMBER_LABELS}
    refuted = sum(member["refuted_at"] is not None for member in incident["sites"])
    return {**incident, **labels, "outages": len(sites), "refuted": refuted}


def _member_rows(incident: Mapping[str, Any], provider_names: Mapping[str, str]) -> list[Row]:
    shared = {column.name: incident[column.name] for column in (*IDENTITY, *HANDLING)}
    return [
        {
            **member,
            **_labels(member, provider_names),
            **shared,
            "refuted_signs": SEPARATOR.join(member["refuted_signs"]) or None,
        }
        for member in incident["sites"]
    ]


def _labels(member: Mapping[str, Any], provider_names: Mapping[str, str]) -> dict[str, Any]:
    """Return the labels of a site by the names of MEMBER_LABELS."""
    provider = provider_names.get(member["provider"], member["provider"])
    own = {name: member[name] for name in ("code", "name", "technology", "contract_number")}
    return {**own, **region_labels(member["village_code"]), "provider": provider}


def _joined(values: Any) -> str | None:
    distinct = sorted({str(value) for value in values if value is not None})
    more = [f"… (+{len(distinct) - MAX_JOINED})"] if len(distinct) > MAX_JOINED else []
    return SEPARATOR.join(distinct[:MAX_JOINED] + more) or None


def _left_out(counts: Mapping[IncidentStatus, int]) -> list[Text]:
    """Return the note on what a filter by status leaves out."""
    left = [(status, count) for status, count in counts.items() if count]
    if not left:
        return []
    many = {store.MAX_COUNTED: "≥ "}
    indonesian = ", ".join(f"{many.get(count, '')}{count} {INCIDENT_STATUSES[status]}" for status, count in left)
    english = ", ".join(f"{many.get(count, '')}{count} {status}" for status, count in left)
    return [Text(f"Tidak termuat di sini: {indonesian}", f"Left out here: {english}")]
