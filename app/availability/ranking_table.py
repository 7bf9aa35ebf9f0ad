"""A ranking as a table: the ranked entries, then those measured too little to rank, with the reason."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.aggregates.series_tables import name_group, table
from app.availability.contract_columns import VERDICT_COUNTS
from app.availability.ranking_schemas import By, RankingOut, Reason
from app.availability.uptime_columns import LONGEST_OUTAGE, OUTAGES, PERCENTAGES
from app.core.tables import COUNT, MOMENT, SECONDS, Column, Table, Text
from app.registry.site_labels import SITE_LABELS, TECHNOLOGY, load_labels, region_labels

REASONS = {Reason.NO_EVIDENCE: "tidak ada hasil ukur", Reason.LOW_COVERAGE: "data terpantau terlalu sedikit"}
RANK = Column(
    "rank", "Peringkat", "Rank", COUNT, arti="di dalam teknologinya; 1 yang terbaik", meaning="within its technology"
)
SITES = Column("sites", "Titik akses", "Sites", COUNT)
FIGURES = (
    *PERCENTAGES,
    OUTAGES,
    LONGEST_OUTAGE,
    Column("down_s", "Putus", "Down", SECONDS),
    Column("unreachable_s", "Induk putus", "Unreachable", SECONDS),
    *VERDICT_COUNTS,
    Column(
        "reason",
        "Alasan tanpa peringkat",
        "Reason without a rank",
        words=REASONS,
        arti="mengapa terlalu sedikit yang terukur untuk diperingkat",
        meaning="why too little was measured to rank it",
    ),
    Column("from", "Dari", "From", MOMENT),
    Column("to", "Sampai", "To", MOMENT),
)
LABELS: dict[By, tuple[Column, ...]] = {
    By.SITE: SITE_LABELS,
    By.REGION: (
        Column("code", "Kode wilayah", "Region code"),
        Column("name", "Wilayah", "Region"),
        Column("district", "Kabupaten/kota", "District"),
        TECHNOLOGY,
        SITES,
    ),
    By.PROVIDER: (
        Column("code", "Kode penyedia", "Provider code"),
        Column("name", "Penyedia", "Provider"),
        TECHNOLOGY,
        SITES,
    ),
}
WHAT = {
    By.SITE: Text("Peringkat titik akses", "Ranking of sites"),
    By.REGION: Text("Peringkat wilayah", "Ranking of regions"),
    By.PROVIDER: Text("Peringkat penyedia", "Ranking of providers"),
}


async def ranking_table(session: AsyncSession, ranking: RankingOut, group: SiteGroup, *, by: By) -> Table:
    entries = [entry.model_dump() for entry in (*ranking.items, *ranking.unranked)]
    labels = await _labels(session, entries, ranking, group, by)
    period = {"from": ranking.from_, "to": ranking.to}
    rows = [{**label, **entry, **period} for label, entry in zip(labels, entries, strict=True)]
    name = (await name_group(session, group)).title
    title = Text(*(f"{what}: {of}" for what, of in zip(WHAT[by], name, strict=True)))
    return table(title, ranking, (RANK, *LABELS[by], *FIGURES), rows)


async def _labels(
    session: AsyncSession, entries: list[dict[str, Any]], ranking: RankingOut, group: SiteGroup, by: By
) -> list[dict[str, Any]]:
    """Return for each entry what it is labelled with beside what it says itself."""
    if by is By.PROVIDER:
        return [{} for _ in entries]
    if by is By.REGION:
        return [{"district": region_labels(entry["code"])["district"]} for entry in entries]
    ids = {entry["id"] for entry in entries}
    labels = await load_labels(session, ids, ranking.to, provider_id=group.provider_id)
    return [labels.of(entry["id"], entry["technology"]) for entry in entries]
