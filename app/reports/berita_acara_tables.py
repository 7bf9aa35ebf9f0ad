"""A berita acara as a workbook: its lines, and on further sheets stretches, outages, objections and sums. Pure."""

from typing import Any

from app.availability.contract_columns import COUNTED, LINK_ROLES
from app.availability.contract_outages_table import COUNTED_COLUMNS as OUTAGE_COLUMNS
from app.contracts.restitution_amounts import RestitutionStatus
from app.core.tables import COUNT, DAY, MOMENT, PERCENT, SECONDS, SENTENCES, Column, Kind, Table, Text
from app.pages.formats import month
from app.registry.indonesian import CAUSES
from app.registry.site_labels import CODE, NAME, REGION_COLUMNS, TECHNOLOGY
from app.reports.berita_acara_lines import STATUS_WORDS
from app.reports.paper_frame import PaperHeading
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData

RUPIAH = Kind(Text("Rp", "Rp"), "#,##0")
LINK_ROLE = Column("link_role", "Jalur", "Link", words=LINK_ROLES)
STATUSES: dict[RestitutionStatus, str] = {**STATUS_WORDS, RestitutionStatus.DUE: "ada restitusi"}
DECISIONS = {"accepted": "diterima", "rejected": "ditolak", "partly": "diterima sebagian"}
COVERED = Column("covered_s", "Masa menurut kontrak", "Under contract", SECONDS)
FEE = Column("fee_idr", "Biaya", "Fee", RUPIAH, arti="sebulan, sebelum pajak", meaning="of the month, before tax")
COVERAGE = Column("coverage_pct", "Data terpantau", "Coverage", PERCENT)
AMOUNTS = (
    Column("least_idr", "Restitusi paling sedikit", "Restitution at least", RUPIAH, path="restitution.least_idr"),
    Column("most_idr", "Restitusi paling banyak", "Restitution at most", RUPIAH, path="restitution.most_idr"),
)
SITE_COLUMNS = (
    *(CODE, NAME, *REGION_COLUMNS, TECHNOLOGY, LINK_ROLE),
    Column("service_no", "Nomor layanan (SID)", "Service number"),
    FEE,
    *COUNTED,
    COVERAGE,
    Column("restitution_idr", "Restitusi", "Restitution", RUPIAH, path="restitution.idr"),
    *AMOUNTS,
    Column("status", "Keterangan restitusi", "Status of restitution", path="restitution.status", words=STATUSES),
    Column("steps", "Perhitungan restitusi", "Arithmetic", SENTENCES),
    Column("notes", "Catatan", "Notes", SENTENCES, sparse=True),
)
SECONDS_COLUMNS = tuple(column for column in COUNTED if column.kind is SECONDS and column.name != "missed_by_s")
STRETCH_COLUMNS = (
    *(CODE, LINK_ROLE),
    Column("from_", "Sejak", "From", MOMENT),
    Column("to", "Sampai", "To", MOMENT),
    Column("terms_on", "Ketentuan sejak", "Terms from", DAY),
    Column("target_pct", "Target", "Target", PERCENT),
    Column("fee", "Bagian biaya, pecahan tepat", "Part of the fee, an exact fraction"),
    COVERED,
    *SECONDS_COLUMNS,
)
PARENT_COLUMNS = (
    Column(
        "contested_s",
        "Dibantah perangkat",
        "Contested by the device",
        SECONDS,
        sparse=True,
        arti="bagian dari tidak diketahui",
        meaning="part of unknown",
    ),
    Column(
        "unreachable_s",
        "Di balik induk yang putus",
        "Behind a parent that was out",
        SECONDS,
        arti="bagian dari seluruh gangguan",
        meaning="part of the whole outage",
    ),
    Column("parent_code", "Kode induk", "Parent's code", sparse=True),
    Column("parent_name", "Nama induk", "Parent's name", sparse=True),
    Column("parent_incident_id", "Nomor gangguan induk", "Parent's incident number", sparse=True),
    Column("parent_ticket_no", "Nomor tiket induk", "Parent's ticket number", sparse=True),
    Column("parent_cause", "Penyebab gangguan induk", "Cause of the parent's outage", words=CAUSES, sparse=True),
)
OBJECTION_COLUMNS = (
    Column("no", "Nomor", "Number", COUNT),
    Column("filed_by", "Diajukan oleh", "Filed by"),
    Column("filed_at", "Diajukan", "Filed", MOMENT),
    Column("site", "Titik akses", "Site"),
    Column("outage_started_at", "Gangguan sejak", "Outage from", MOMENT),
    Column("text", "Keberatan", "Objection", SENTENCES),
    Column("evidence", "Bukti", "Evidence", SENTENCES),
    Column("decision", "Putusan", "Decision", words=DECISIONS),
    Column("decision_text", "Alasan putusan", "Reasons", SENTENCES),
    Column("decided_by", "Diputuskan oleh", "Decided by"),
    Column("decided_at", "Diputuskan", "Decided", MOMENT),
)
SUM_COLUMNS = (
    Column("sites", "Baris", "Lines", COUNT),
    FEE,
    Column("restitution_idr", "Restitusi", "Restitution", RUPIAH),
    *(Column(column.name, column.indonesian, column.english, RUPIAH) for column in AMOUNTS),
    Column("payable_idr", "Dibayarkan, sebelum pajak", "Payable, before tax", RUPIAH),
    COVERAGE,
    COVERED,
    *SECONDS_COLUMNS,
)


def report_table(data: ReportData, heading: PaperHeading) -> Table:
    """Return the lines of the sites; the other sheets are its `further` ones."""
    sites = [site.model_dump() for site in data.sites]
    of_sites = {site["code"]: site for site in sites}
    outages = [{**of_sites.get(outage.site, {"code": outage.site}), **outage.model_dump()} for outage in data.outages]
    stretches = [
        {"code": site["code"], "link_role": site["link_role"], **stretch}
        for site in sites
        for stretch in site["stretches"]
    ]
    lines = [site | {"steps": _lines(site["restitution"]["steps"]), "notes": _lines(site["notes"])} for site in sites]
    return Table(
        _title(data, heading),
        SITE_COLUMNS,
        lines,
        notes=notes(data, heading),
        subject=heading.number,
        sheet=Text("Titik akses", "Sites"),
        further=[
            Table(None, STRETCH_COLUMNS, stretches, sheet=Text("Bagian masa", "Stretches")),
            Table(None, (CODE, NAME, *OUTAGE_COLUMNS, *PARENT_COLUMNS), outages, sheet=Text("Gangguan", "Outages")),
            Table(
                None,
                OBJECTION_COLUMNS,
                [each.model_dump() for each in data.objections],
                sheet=Text("Keberatan", "Objections"),
            ),
            Table(None, SUM_COLUMNS, [data.totals.model_dump()], sheet=Text("Jumlah", "Sums")),
        ],
    )


def _title(data: ReportData, heading: PaperHeading) -> Text:
    name = f"{heading.number}: {data.contract.number}, {data.contract.provider_name}, "
    shown = data.period.month
    return Text(f"Berita acara {name}{month(shown, 'id')}", f"Berita acara {name}{month(shown, 'en')}")


def notes(data: ReportData | RecapData, heading: PaperHeading) -> list[Text]:
    """Return the lines above the table: hash, marks, warnings."""
    lines = [Text(f"SHA-256 data: {heading.sha256}", f"SHA-256 of the data: {heading.sha256}")]
    if not heading.is_issued:
        lines.append(Text("Rancangan: belum berlaku", "A draft: not in force"))
    if heading.extract_of is not None:
        lines.append(Text(f"Kutipan untuk {heading.extract_of}", f"An extract for {heading.extract_of}"))
    if data.simulated:
        lines.append(Text("Data simulasi: tidak berlaku", "Simulated data: not in force"))
    return lines + [Text(warning.id, warning.en) for warning in data.warnings]


def _lines(sentences: list[dict[str, Any]]) -> dict[str, str] | None:
    """Return the sentences as one text in both languages."""
    return (
        {language: "\n".join(each[language] for each in sentences) for language in ("id", "en")} if sentences else None
    )
