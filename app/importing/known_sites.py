"""Registered sites by what rows name them by: of thousands in the rows' villages, a file means few."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import ARRAY, Text, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.importing.rows import SheetRow
from app.profiles import Technology
from app.registry.models import Lifecycle, LinkRole, Provider, Site, SiteKind, Venue
from app.registry.vocabulary import fold

READ_AT_ONCE = 1_000  # rows; between two parts other tasks of the event loop run


class KnownSite(NamedTuple):
    id: int
    code: str
    kind: SiteKind
    village_code: str
    provider: str  # slug
    service_no: str | None
    lifecycle: Lifecycle
    technology: Technology
    venue: Venue | None
    link_role: LinkRole
    host: str | None
    name: str


ByText = Mapping[tuple[str, str, str], Sequence[KnownSite]]  # by village, kind, and the text


@dataclass(frozen=True, slots=True)
class KnownSites:
    by_code: Mapping[str, KnownSite] = field(default_factory=dict)
    by_number: ByText = field(default_factory=dict)  # by folded service number
    by_provider: ByText = field(default_factory=dict)  # by slug, those not retired
    unnumbered: ByText = field(default_factory=dict)  # of these, those without a service number


async def load(session: AsyncSession, rows: Sequence[SheetRow], *, caller: Caller) -> KnownSites:
    """Load the sites whose code a row gives, and all sites in the rows' villages."""
    codes = sorted({str(row.values["code"]) for row in rows if "code" in row.values})
    villages = sorted({row.values["village_code"] for row in rows if "village_code" in row.values})
    columns = (getattr(Site, name) if name != "provider" else Provider.slug for name in KnownSite._fields)
    in_village = Site.village_code == any_(literal(villages, ARRAY(Text)))
    query = (
        select(*columns)
        .join(Provider, Provider.id == Site.provider_id)
        .where((Site.code == any_(literal(codes, ARRAY(Text)))) | in_village, visible_to(caller, Site))
        .order_by(Site.id)
    )
    by_code: dict[str, KnownSite] = {}
    by_number, by_provider, unnumbered = (defaultdict[tuple[str, str, str], list[KnownSite]](list) for _ in range(3))
    async for part in (await session.stream(query)).partitions(READ_AT_ONCE):
        for site in map(KnownSite._make, part):
            by_code[site.code] = site
            of_provider = site.village_code, site.kind.value, site.provider
            if site.service_no is not None:
                by_number[site.village_code, site.kind.value, fold(site.service_no)].append(site)
            if site.lifecycle is not Lifecycle.RETIRED:
                by_provider[of_provider].append(site)
                if site.service_no is None:
                    unnumbered[of_provider].append(site)
    return KnownSites(by_code, by_number, by_provider, unnumbered)
