"""The columns of speed tests in files: of a site its tests, of a group its figures, or its sites."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite, SiteGroup
from app.aggregates.series_tables import label_site, name_group, of_site, table
from app.core.tables import BYTES, COUNT, MBPS, MEGABYTES, MILLISECONDS, MOMENT, PERCENT, Column, Table, Text
from app.registry.site_labels import SITE_LABELS, TECHNOLOGY, load_labels, region_labels
from app.registry.vocabulary import YES_NO
from app.throughput.schemas import SitesThroughputOut, SiteThroughputOut

WHAT = Text("Kecepatan terukur", "Throughput of")
MODES = {"pull": "diunduh dari pusat", "push": "oleh perangkat di lokasi"}
STATUSES = {
    "waiting": "menunggu",
    "running": "berjalan",
    "done": "selesai",
    "invalid": "tidak sah",
    "failed": "gagal",
    "skipped": "dilewati",
}
DOWN, UP = Column("down_mbps", "Unduh", "Download", MBPS), Column("up_mbps", "Unggah", "Upload", MBPS)
CONTRACT_DOWN = Column("contract_down_mbps", "Unduh kontrak", "Contracted download", MBPS)
TEST_COLUMNS = (
    Column("planned_at", "Direncanakan", "Planned", MOMENT),
    Column("started_at", "Mulai", "Start", MOMENT),
    Column("ended_at", "Selesai", "End", MOMENT),
    Column("mode", "Cara", "Mode", words=MODES),
    Column("status", "Status", "Status", words=STATUSES),
    Column("reason", "Alasan", "Reason", arti="mengapa tidak ada hasil", meaning="why there is no result"),
    Column("down_bytes", "Terunduh", "Downloaded", BYTES, arti="termasuk pemanasan", meaning="warm-up included"),
    Column("up_bytes", "Terunggah", "Uploaded", BYTES),
    DOWN,
    UP,
    Column("agent_down_mbps", "Unduh menurut perangkat", "Download by the agent's clock", MBPS),
    Column("agent_up_mbps", "Unggah menurut perangkat", "Upload by the agent's clock", MBPS),
    Column("rtt_idle_ms", "Waktu bolak-balik", "Round-trip time", MILLISECONDS),
    Column("rtt_loaded_ms", "Waktu bolak-balik saat sibuk", "Round-trip time under load", MILLISECONDS),
    CONTRACT_DOWN,
    Column("contract_up_mbps", "Unggah kontrak", "Contracted upload", MBPS),
    Column(
        "deferrals",
        "Ditunda",
        "Deferred",
        COUNT,
        arti="berapa kali perangkatnya menunda karena sambungan sedang dipakai",
        meaning="how often its agent put it off because the link was in use",
    ),
)
GROUP_COLUMNS = (
    TECHNOLOGY,
    Column(
        "sites",
        "Titik akses dengan hasil",
        "Sites with a result",
        COUNT,
        arti="yang uji kecepatannya ada yang selesai",
        meaning="with a test that is done",
    ),
    Column("without_result", "Titik akses tanpa hasil", "Sites without a result", COUNT),
    Column(
        "down_mbps",
        "Unduh, median",
        "Download, median",
        MBPS,
        arti="median titik akses, masing-masing median ujinya",
        meaning="median of the sites, each by the median of its tests",
    ),
    Column(
        "down_p10_mbps",
        "Unduh, persentil 10",
        "Download, percentile 10",
        MBPS,
        arti="sembilan dari sepuluh titik akses lebih cepat",
        meaning="nine of ten sites were faster",
    ),
    Column("up_mbps", "Unggah, median", "Upload, median", MBPS),
    Column("up_p10_mbps", "Unggah, persentil 10", "Upload, percentile 10", MBPS),
    Column("down_of_contract_pct", "Unduh terhadap kontrak", "Download of the contract", PERCENT),
    Column(
        "under_half",
        "Titik akses di bawah separuh kontrak",
        "Sites below half of the contract",
        COUNT,
    ),
    Column("under_half_pct", "Bagian di bawah separuh kontrak", "Share below half of the contract", PERCENT),
    Column(
        "bufferbloat_ms",
        "Tambahan waktu bolak-balik saat sibuk",
        "Round-trip time added under load",
        MILLISECONDS,
    ),
    Column("tests", "Uji selesai", "Tests done", COUNT),
)
SITE_COLUMNS = (
    Column("village_code", "Kode desa/kelurahan", "Village code"),
    Column("tests", "Uji selesai", "Tests done", COUNT),
    DOWN,
    UP,
    CONTRACT_DOWN,
    Column("share_pct", "Unduh terhadap kontrak", "Download of the contract", PERCENT),
    Column("under_half", "Di bawah separuh kontrak", "Below half of the contract", words=YES_NO),
    Column("spent_mb", "Biaya data", "Data spent", MEGABYTES),
    Column("last_test_at", "Uji terakhir", "Last test", MOMENT),
)


async def tests_table(session: AsyncSession, response: SiteThroughputOut, site: SingleSite) -> Table:
    labels = await label_site(session, site, response.to)
    rows = [{**labels, **test.model_dump()} for test in response.items]
    return table(of_site(WHAT, labels), response, (*SITE_LABELS, *TEST_COLUMNS), rows)


async def sites_table(session: AsyncSession, response: SitesThroughputOut, group: SiteGroup) -> Table:
    """Return a row for each site and technology, where it was at its last test."""
    ids = {item.site_id for item in response.items}
    labels = await load_labels(session, ids, response.to, provider_id=group.provider_id)
    rows: list[dict[str, Any]] = []
    for item in response.items:
        row = item.model_dump()
        of_item = labels.of(item.site_id, item.technology)
        provider = of_item.get("provider", row["provider"])  # by name
        rows.append({**of_item, **row, **region_labels(item.village_code), "provider": provider})
    name = (await name_group(session, group)).title
    title = Text(*(f"{what} {of}" for what, of in zip(WHAT, name, strict=True)))
    return table(title, response, (*SITE_LABELS, *SITE_COLUMNS), rows)
