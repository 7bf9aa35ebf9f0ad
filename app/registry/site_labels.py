"""What a table says of each site beside its figures: where it is, whose it is and under which contract, as dated.

Configuration and contract are those in force at the end of the table's period.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_wita
from app.core.tables import Column
from app.postgres.engine import among
from app.registry import regions, site_contracts
from app.registry.indonesian import TECHNOLOGIES
from app.registry.models import Provider, Site, SiteConfiguration
from app.registry.site_contracts import Assignment, all_in_force

CODE = Column("code", "Kode titik akses", "Site code")
NAME = Column("name", "Nama titik akses", "Site name")
PROVIDER = Column("provider", "Penyedia", "Provider")
TECHNOLOGY = Column("technology", "Teknologi", "Technology", words=TECHNOLOGIES)
REGION_COLUMNS = (
    Column("village", "Desa/kelurahan", "Village"),
    Column("subdistrict", "Kecamatan", "Subdistrict"),
    Column("district", "Kabupaten/kota", "District"),
)
SITE_LABELS = (
    CODE,
    NAME,
    *REGION_COLUMNS,
    PROVIDER,
    TECHNOLOGY,
    Column(
        "contract_number",
        "Nomor kontrak",
        "Contract number",
        arti="kontrak yang mencakup titik akses pada akhir masa; dua bila ada jalur cadangan",
        meaning="the contract that covers the site at the end of the period; two where there is a backup link",
    ),
)


@dataclass(frozen=True, slots=True)
class _Configured:
    technology: str
    recency: tuple[bool, datetime]  # whether it started before the period's end, and when
    provider_id: int
    labels: Mapping[str, Any]


class SiteLabels:
    """The labels of some sites, by the names of SITE_LABELS."""

    def __init__(
        self, configured: Mapping[int, Collection[_Configured]], contracts: Mapping[int, Sequence[Assignment]]
    ) -> None:
        self._configured, self._contracts = configured, contracts

    def of(self, site_id: int, technology: str | None = None) -> dict[str, Any]:
        """Return a site's labels, or those from when it last had this technology. {} for a site without any."""
        found = [c for c in self._configured.get(site_id, ()) if technology in {None, c.technology}]
        if not found:
            return {}
        last = max(found, key=lambda configured: configured.recency)
        contracts = [assigned.contract for assigned in self._contracts.get(site_id, ())]
        numbers = [contract.number for contract in contracts if contract.provider_id == last.provider_id]
        return {**last.labels, "technology": last.technology, "contract_number": "; ".join(numbers) or None}


def region_labels(village_code: str) -> dict[str, str | None]:
    """Return the names of a village, its subdistrict and its district."""
    names = regions.names()
    lengths = {"village": 13, "subdistrict": 8, "district": 5}
    return {name: names.get(village_code[:length]) for name, length in lengths.items()}


async def load_labels(
    session: AsyncSession, site_ids: Collection[int], end: datetime, *, provider_id: int | None = None
) -> SiteLabels:
    """Load labels as of `end`, exclusive; with `provider_id` those from when a site last was this provider's.

    A site that was registered afterwards has its present ones.
    """
    configured: dict[int, list[_Configured]] = defaultdict(list)
    for row in await session.execute(_configurations(site_ids, end, provider_id)):
        site_labels = {"code": row.code, "name": row.name, **region_labels(row.village_code), "provider": row.provider}
        recency = (row.started_at < end, row.started_at)
        configured[row.id].append(_Configured(row.technology, recency, row.provider_id, site_labels))
    last_day = to_wita(end - timedelta(seconds=1)).date()
    assigned = await site_contracts.load(session, site_ids)
    contracts = {site_id: all_in_force(of_site, last_day) for site_id, of_site in assigned.items()}
    return SiteLabels(configured, contracts)


def _configurations(site_ids: Collection[int], end: datetime, provider_id: int | None) -> Any:
    """Select each site's last configuration with each technology."""
    dated = SiteConfiguration
    query = (
        select(
            Site.id,
            Site.code,
            Site.name,
            dated.technology,
            dated.started_at,
            dated.village_code,
            dated.provider_id,
            Provider.name.label("provider"),
        )
        .join(dated, dated.site_id == Site.id)
        .join(Provider, Provider.id == dated.provider_id)
        .where(among(Site.id, site_ids))
        .ext(distinct_on(Site.id, dated.technology))
        .order_by(Site.id, dated.technology, dated.started_at >= end, dated.started_at.desc())
    )
    return query if provider_id is None else query.where(dated.provider_id == provider_id)
