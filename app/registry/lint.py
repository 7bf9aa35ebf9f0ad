"""What is probably wrong in the registry: one question in SQL for each, and what to do about the answer."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region, visible_to
from app.core.errors import Fault
from app.postgres.engine import among
from app.registry import agent_lint, regions
from app.registry.models import Site


class Check(StrEnum):
    DUPLICATE_HOST = "duplicate_host"
    DUPLICATE_COORDINATES = "duplicate_coordinates"
    FAR_FROM_VILLAGE = "far_from_village"
    NEVER_SEEN = "never_seen"
    NO_CONTRACT = "no_contract"
    UNPINGABLE = "unpingable"
    FORMER_VILLAGE = "former_village"
    VILLAGE_WITHOUT_SITE = "village_without_site"
    NEVER_HEARD = "never_heard"
    TWO_AGENTS = "two_agents"
    DEVICE_CLOCK = "device_clock"
    READINGS_REFUSED = "readings_refused"
    READINGS_DROPPED = "readings_dropped"
    NOT_MEASURING = "not_measuring"


class Severity(StrEnum):
    WARNING = "warning"  # should be put right
    HINT = "hint"  # may well be as it should


HINTS = frozenset(
    {
        Check.DUPLICATE_COORDINATES,
        Check.FAR_FROM_VILLAGE,
        Check.VILLAGE_WITHOUT_SITE,
        Check.DEVICE_CLOCK,
    }
)
FAR_KM = 25
NEVER_SEEN_DAYS = 7

# Each gives: site_id (or the village's code), the ids of the first twenty sites concerned, details.
QUESTIONS = {
    Check.DUPLICATE_HOST: """
        SELECT site.id AS site_id, NULL::text AS place, alike.ids AS others,
            jsonb_build_object('host', site.host, 'sites', alike.many) AS detail
        FROM site JOIN (
            SELECT host, count(*) AS many, (array_agg(id ORDER BY id))[1:20] AS ids
            FROM site WHERE lifecycle <> 'retired' GROUP BY host HAVING count(*) > 1
        ) AS alike ON alike.host = site.host
        WHERE site.lifecycle <> 'retired'
    """,
    # A backup link beside the primary one, or a node beside a village's access point, is no mistake.
    Check.DUPLICATE_COORDINATES: """
        SELECT site.id AS site_id, NULL::text AS place, alike.ids AS others,
            jsonb_build_object('latitude', site.latitude, 'longitude', site.longitude, 'sites', alike.many) AS detail
        FROM site JOIN (
            SELECT latitude, longitude, kind, count(*) AS many, (array_agg(id ORDER BY id))[1:20] AS ids
            FROM site WHERE lifecycle <> 'retired' GROUP BY latitude, longitude, kind
            HAVING count(*) > count(DISTINCT link_role) OR count(DISTINCT village_code) > 1
        ) AS alike ON (alike.latitude, alike.longitude, alike.kind) = (site.latitude, site.longitude, site.kind)
        WHERE site.lifecycle <> 'retired'
    """,
    Check.FAR_FROM_VILLAGE: f"""
        SELECT site_id, NULL::text AS place, NULL::int[] AS others,
            jsonb_build_object('distance_km', round(km::numeric, 1)) AS detail
        FROM (
            SELECT site.id AS site_id, 2 * 6371 * asin(sqrt(
                sin(radians(site.latitude - region.latitude) / 2) ^ 2
                + cos(radians(region.latitude)) * cos(radians(site.latitude))
                * sin(radians(site.longitude - region.longitude) / 2) ^ 2
            )) AS km
            FROM site JOIN region ON region.code = site.village_code
            WHERE site.lifecycle <> 'retired' AND site.kind = 'access_point'
        ) AS measured
        WHERE km > {FAR_KM}
    """,
    Check.NEVER_SEEN: f"""
        SELECT site.id AS site_id, NULL::text AS place, NULL::int[] AS others,
            jsonb_build_object('addressed_at', site.addressed_at) AS detail
        FROM site JOIN site_status ON site_status.site_id = site.id
        WHERE site.lifecycle = 'active' AND site.probe <> 'push' AND site_status.commissioned_at IS NULL
            AND site.addressed_at < now() - interval '{NEVER_SEEN_DAYS} days'
            AND NOT EXISTS (
                SELECT FROM site_configuration
                WHERE site_configuration.site_id = site.id AND site_configuration.lifecycle <> 'active'
                    AND coalesce(ended_at, now()) > now() - interval '{NEVER_SEEN_DAYS} days'
            )
    """,
    Check.NO_CONTRACT: """
        SELECT site.id AS site_id, NULL::text AS place, NULL::int[] AS others, jsonb_build_object() AS detail
        FROM site
        WHERE site.contract_id IS NULL AND site.kind = 'access_point' AND site.lifecycle IN ('active', 'suspended')
    """,
    Check.UNPINGABLE: """
        SELECT site.id AS site_id, NULL::text AS place, NULL::int[] AS others,
            jsonb_build_object('technology', site.technology, 'probe', site.probe) AS detail
        FROM site
        WHERE site.technology IN ('leo', 'cellular') AND site.probe = 'icmp' AND site.lifecycle <> 'retired'
    """,
    Check.FORMER_VILLAGE: """
        SELECT site.id AS site_id, NULL::text AS place, NULL::int[] AS others,
            jsonb_build_object('given', site.village_code, 'now', region_alias.region_code) AS detail
        FROM site JOIN region ON region.code = site.village_code
            LEFT JOIN region_alias ON region_alias.code = site.village_code
        WHERE region.valid_to <= current_date AND site.lifecycle <> 'retired'
    """,
    Check.VILLAGE_WITHOUT_SITE: """
        SELECT NULL::int AS site_id, region.code AS place, NULL::int[] AS others, jsonb_build_object() AS detail
        FROM region
        WHERE region.level = 'desa_kelurahan' AND coalesce(region.valid_to > current_date, true)
            AND NOT EXISTS (
                SELECT FROM site
                WHERE site.village_code = region.code AND site.kind = 'access_point' AND site.lifecycle <> 'retired'
            )
    """,
} | {Check(name): question for name, question in agent_lint.QUESTIONS.items()}

TOLD = {
    Check.DUPLICATE_HOST: Fault(
        "host",
        "duplicate_host",
        "{host} is the host of other sites too: {also}",
        "Find out which of them is there, and correct or retire the others",
    ),
    Check.DUPLICATE_COORDINATES: Fault(
        "latitude",
        "duplicate_coordinates",
        "Other sites have the same position: {also}",
        "Take the position at each site; leave it empty where it is not known",
    ),
    Check.FAR_FROM_VILLAGE: Fault(
        "latitude",
        "far_from_village",
        "It lies {distance_km} km from the middle of {village}",
        "Check the position, and whether the village is the right one",
    ),
    Check.NEVER_SEEN: Fault(
        "host",
        "never_seen",
        "Active for over {days} days, and it has never answered",
        "Check the host; probe=push if it sits behind carrier NAT; planned if it is not installed yet",
    ),
    Check.NO_CONTRACT: Fault(
        "contract_id",
        "no_contract",
        "No contract: nothing says what was promised here",
        "Set contract_id; the province registers contracts",
    ),
    Check.UNPINGABLE: Fault(
        "probe",
        "unpingable",
        "{technology} sites usually sit behind carrier NAT: a ping does not reach them",
        "Set probe=push: the site reports by itself",
    ),
    Check.FORMER_VILLAGE: Fault(
        "village_code",
        "former_village",
        "{given} is a village's code no longer",
        "Move the site to the village that took its place, by village_code: its own code stays",
    ),
    Check.VILLAGE_WITHOUT_SITE: Fault(
        "village_code",
        "village_without_site",
        "{village} has no access point",
        "Register it, also one that is only planned",
    ),
} | {Check(name): told for name, told in agent_lint.TOLD.items()}

# How severe, village code, check, site id or 0: what is wrong comes first, however many villages have no site yet.
Place = tuple[int, str, str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    site_id: int | None
    code: str | None
    name: str | None
    village_code: str
    detail: dict[str, Any]
    others: tuple[str, ...]  # of the further sites that it concerns, those within the caller's scope

    @property
    def severity(self) -> Severity:
        return Severity.HINT if self.check in HINTS else Severity.WARNING

    @property
    def place(self) -> Place:
        return int(self.check in HINTS), self.village_code, self.check.value, self.site_id or 0

    def told(self) -> Fault:
        """What is wrong and what to do, as templates to translate."""
        more = self.detail.get("sites", 1) - 1 - len(self.others)
        also = ", ".join((*self.others, *([f"+{more}"] if more else [])))
        village = regions.names().get(self.village_code)
        return replace(
            TOLD[self.check],
            values=self.detail | {"also": also, "village": village, "days": NEVER_SEEN_DAYS, "id": self.site_id},
        )


async def list_findings(
    session: AsyncSession, *, caller: Caller, region: str | None, check: Check | None, after: Place | None, limit: int
) -> list[Finding]:
    """In the order of their places. Raises NotAllowed for a region beyond the caller's."""
    found = _found(caller, region, check).subquery()
    check_name, site_id = found.c["check"], func.coalesce(found.c.site_id, 0)
    severity = case((check_name.in_([hint.value for hint in HINTS]), 1), else_=0)
    place = tuple_(severity, found.c.village_code, check_name, site_id)
    query = select(found).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(place > tuple_(*after))
    rows = (await session.execute(query)).all()
    codes = await _codes(session, {id for row in rows for id in row.others or ()}, caller=caller)
    return [_finding(row, codes) for row in rows]


async def count_findings(
    session: AsyncSession, *, caller: Caller, region: str | None, check: Check | None
) -> dict[str, dict[Check, int]]:
    """By district's code, by check; what has none is left out."""
    found = _found(caller, region, check).subquery()
    district = func.left(found.c.village_code, 5).label("district")
    counted = select(district, found.c["check"], func.count().label("many")).group_by(text("1"), text("2"))
    counts: dict[str, dict[Check, int]] = {}
    for row in await session.execute(counted.order_by(text("1"), text("2"))):
        counts.setdefault(row.district, {})[Check(row.check)] = row.many
    return counts


def _found(caller: Caller, region: str | None, check: Check | None) -> Select[Any]:
    if region is not None:
        require_region(caller, region)
    asked = union_all(*(_asked(one) for one in Check if check in {None, one})).subquery()
    village = func.coalesce(Site.village_code, asked.c.place)
    return (
        select(asked, Site.code, Site.name, village.label("village_code"))
        .outerjoin(Site, Site.id == asked.c.site_id)
        .where(_seen(asked.c.place, caller), in_region(village, region or caller.region_code))
    )


def _asked(check: Check) -> Select[Any]:
    answers = text(QUESTIONS[check]).columns(site_id=Integer, place=Text, others=ARRAY(Integer), detail=JSONB)
    return select(literal(check.value).label("check"), *answers.subquery().c)


def _seen(place: ColumnElement[Any], caller: Caller) -> ColumnElement[bool]:
    """A village without a site is nothing of a provider's: it does not know the others' sites there."""
    visible = visible_to(caller, Site)
    return visible if caller.provider_id is not None else visible | and_(Site.id.is_(None), place.is_not(None))


async def _codes(session: AsyncSession, ids: Collection[int], *, caller: Caller) -> dict[int, str]:
    query = select(Site.id, Site.code).where(among(Site.id, ids), visible_to(caller, Site)).order_by(Site.code)
    return {row.id: row.code for row in await session.execute(query)}


def _finding(row: Any, codes: dict[int, str]) -> Finding:
    others = tuple(codes[id] for id in row.others or () if id in codes and id != row.site_id)
    return Finding(Check(row.check), row.site_id, row.code, row.name, row.village_code, row.detail, others)
