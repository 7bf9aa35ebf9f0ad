"""The compliance table and the attested list as files."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.aggregates.series_tables import name_group, table
from app.compliance.attested import MethodPart
from app.compliance.method import METODE_V1
from app.compliance.row import Basis
from app.compliance.schemas import AttestedOut, ComplianceOut
from app.compliance.shares import ComplianceVerdict, Doubt, PartResult
from app.core.tables import COUNT, MBPS, MILLISECONDS, PERCENT, SECONDS, SENTENCES, Column, Table, Text
from app.registry.models import Provider
from app.registry.site_labels import CODE, NAME, PROVIDER, REGION_COLUMNS, TECHNOLOGY
from app.registry.vocabulary import YES_NO

WHAT = Text("Pemenuhan mutu menurut {}", "Compliance by {}")
ATTESTED = Text("Yang tidak terukur, {}", "What was not measured, {}")
VERDICTS = {
    ComplianceVerdict.COMPLIES: "memenuhi",
    ComplianceVerdict.FAILS: "tidak memenuhi",
    ComplianceVerdict.UNDETERMINED: "belum dapat disimpulkan",
}
RESULTS = {
    PartResult.PASSES: "lulus",
    PartResult.FAILS: "tidak lulus",
    PartResult.UNDETERMINED: "belum dapat disimpulkan",
    PartResult.NOT_PROMISED: "tidak diperjanjikan",
}
DOUBTS = {
    Doubt.TOO_FEW: "hasil ukur terlalu sedikit",
    Doubt.TOO_FEW_SITES: "terlalu sedikit titik akses yang terukur",
    Doubt.CONTESTED: "ditentukan oleh uji tanpa hasil",
    Doubt.UNKNOWN_TIME: "ditentukan oleh waktu yang tidak diketahui",
    Doubt.NO_CONTRACT: "tanpa kontrak",
}
BASES = {Basis.ALL: "semua", Basis.SAMPLE: "sampel", Basis.NONE: "tanpa sampel"}
PARTS = {
    MethodPart.AVAILABILITY: "ketersediaan",
    MethodPart.DOWNLOAD: "unduh",
    MethodPart.UPLOAD: "unggah",
    MethodPart.LATENCY: "latensi",
}
RESULT = Column("result", "Hasil", "Result", words=RESULTS)
DOUBT = Column("doubt", "Mengapa belum", "Doubt", words=DOUBTS)
COUNTED = (
    Column("counted", "Dihitung", "Counted", COUNT),
    Column("passed", "Lulus", "Passed", COUNT),
)
PCT = Column("pct", "Persentase lulus", "Share passed", PERCENT)
BOUNDS = (
    Column("worst_pct", "Batas bawah", "Worst", PERCENT),
    Column("best_pct", "Batas atas", "Best", PERCENT),
)
CONTESTED = Column(
    "contested",
    "Tanpa hasil",
    "Contested",
    COUNT,
    arti="uji yang berjalan tanpa hasil; tidak menguntungkan siapa pun",
    meaning="tests that ran without a result; in nobody's favour",
)
EVENING = [column.under("evening", "18.00-24.00", "18:00-24:00") for column in (*COUNTED, CONTESTED, PCT)]
EVENING_LOOKS = [
    column.under("evening", "18.00-24.00", "18:00-24:00")
    for column in (*COUNTED, Column("lost", "Hilang", "Lost", COUNT), PCT)
]
AVAILABILITY_COLUMNS = (
    RESULT,
    DOUBT,
    Column("service_s", "Masa layanan", "Service", SECONDS),
    Column("counted_down_s", "Dihitung putus", "Counted down", SECONDS),
    Column("unknown_s", "Tidak diketahui", "Unknown", SECONDS),
    Column("availability_pct", "Ketersediaan", "Availability", PERCENT),
    *BOUNDS,
    Column("target_pct", "Target", "Target", PERCENT),
)
SPEED_COLUMNS = (
    RESULT,
    DOUBT,
    Column("basis", "Dasar", "Basis", words=BASES),
    Column("of_sites", "Titik akses", "Sites", COUNT),
    Column("tested_sites", "Titik akses terukur", "Tested sites", COUNT),
    *COUNTED,
    CONTESTED,
    PCT,
    *BOUNDS,
    *EVENING,
)
LATENCY_COLUMNS = (
    RESULT,
    DOUBT,
    Column("limit_ms", "Batas", "Limit", MILLISECONDS),
    Column("measured_sites", "Titik akses terukur", "Measured sites", COUNT),
    *COUNTED,
    Column("lost", "Hilang", "Lost", COUNT),
    Column("left_out", "Tidak dihitung", "Left out", COUNT),
    PCT,
    *EVENING_LOOKS,
)
COLUMNS = (
    PROVIDER,
    TECHNOLOGY,
    Column("contract_down_mbps", "Unduh kontrak", "Contracted download", MBPS),
    Column("contract_up_mbps", "Unggah kontrak", "Contracted upload", MBPS),
    Column("sites", "Titik akses", "Sites", COUNT),
    Column("drawn_sites", "Terpilih sampel", "Drawn sites", COUNT),
    Column("verdict", "Putusan", "Verdict", words=VERDICTS),
    *(column.under("availability", "Ketersediaan", "Availability") for column in AVAILABILITY_COLUMNS),
    *(column.under("download", "Unduh", "Download") for column in SPEED_COLUMNS),
    *(column.under("upload", "Unggah", "Upload") for column in SPEED_COLUMNS),
    *(column.under("latency", "Latensi", "Latency") for column in LATENCY_COLUMNS),
    Column("attested_sites", "Titik akses tidak lengkap", "Attested sites", COUNT),
    Column("reason", "Penjelasan", "Reason", SENTENCES),
)
ATTESTED_COLUMNS = (
    CODE,
    NAME,
    *REGION_COLUMNS,
    PROVIDER,
    TECHNOLOGY,
    Column("drawn", "Terpilih sampel", "Drawn", words=YES_NO),
    Column("part", "Bagian", "Part", words=PARTS),
    Column("why", "Alasan", "Reason", arti="kode alasan: docs/metode.md", meaning="codes: docs/metode.en.md"),
    Column("count", "Banyaknya", "Count", COUNT),
)
NOT_MADE = (
    PROVIDER,
    TECHNOLOGY,
    Column("contract_down_mbps", "Unduh kontrak", "Contracted download", MBPS),
    Column("why", "Alasan", "Reason"),
    Column("count", "Uji", "Tests", COUNT),
)


async def compliance_table(session: AsyncSession, response: ComplianceOut, group: SiteGroup) -> Table:
    """Return the table of the rows, with planned tests that have no result on a further sheet."""
    rows = [{**row.model_dump(), "provider": row.provider_name} for row in response.items]
    not_made = [{**row, "why": why, "count": n} for row in rows for why, n in row["not_made"].items()]
    whole = table(await _title(session, WHAT, response.method.version, group), response, COLUMNS, rows)
    texts = [Text(note.id, note.en) for note in response.notes]
    sheet = Table(None, NOT_MADE, not_made, sheet=Text("Uji tanpa hasil", "Tests without result"))
    return replace(whole, notes=[*whole.notes, *texts], further=[sheet])


async def attested_table(session: AsyncSession, response: AttestedOut, group: SiteGroup) -> Table:
    names = {row.slug: row.name for row in await session.execute(select(Provider.slug, Provider.name))}
    rows = [{**row.model_dump(), "provider": names[row.provider]} for row in response.items]
    return table(await _title(session, ATTESTED, METODE_V1.version, group), response, ATTESTED_COLUMNS, rows)


async def _title(session: AsyncSession, what: Text, version: str, group: SiteGroup) -> Text:
    name = (await name_group(session, group)).title
    return Text(*(f"{text.format(version)}: {of}" for text, of in zip(what, name, strict=True)))
