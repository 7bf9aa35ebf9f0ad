"""The regions of Kalimantan Timur: seeded from `config/regions/`, looked up by present and former codes."""

import csv
import difflib
import re
from collections.abc import Collection
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Text, any_, func, insert, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.clock import today
from app.core.errors import Fault, Invalid, NotFound
from app.registry.models import Level, Region, RegionAlias
from app.settings import CONFIG_DIR

REGIONS_CSV = CONFIG_DIR / "regions" / "kaltim_regions.csv"
ALIASES_CSV = CONFIG_DIR / "regions" / "aliases.csv"
LATITUDES, LONGITUDES = (-2.41, 2.57), (113.83, 119.04)  # the districts' bounding box
GRACE_DEG = 0.5


@cache
def read_csv() -> list[dict[str, Any]]:
    with REGIONS_CSV.open(encoding="utf-8", newline="") as file:
        return [
            {
                "code": row["code"],
                "level": row["level"],
                "parent_code": row["parent_code"] or None,
                "name": row["name"],
                "type": row["type"],
                "latitude": float(row["lat"]),
                "longitude": float(row["lon"]),
                "valid_from": _day(row.get("valid_from")),
                "valid_to": _day(row.get("valid_to")),
            }
            for row in csv.DictReader(file)
        ]


def read_aliases() -> list[dict[str, Any]]:
    with ALIASES_CSV.open(encoding="utf-8", newline="") as file:
        return [row | {"valid_to": _day(row["valid_to"]), "note": row["note"] or None} for row in csv.DictReader(file)]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


async def seed(connection: AsyncConnection) -> None:
    """Insert missing regions and update changed ones. Never deletes: sites refer to them."""
    await _upsert(connection, Region, read_csv())
    if aliases := read_aliases():
        await _upsert(connection, RegionAlias, aliases)


async def _upsert(connection: AsyncConnection, table: type[Region | RegionAlias], rows: list[dict[str, Any]]) -> None:
    if await connection.scalar(select(func.count()).select_from(table)) == 0:
        await connection.execute(insert(table), rows)
        return
    statement = upsert(table)
    new_values = {name: statement.excluded[name] for name in rows[0] if name != "code"}
    changed = tuple_(*(table.__table__.c[name] for name in new_values)).is_distinct_from(tuple_(*new_values.values()))
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["code"], set_=new_values, where=changed), rows
    )


async def list_regions(
    session: AsyncSession,
    *,
    level: Level | None,
    parent: str | None,
    q: str | None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Region]:
    """Return regions in force; a dissolved one is still found by its code (`find_region`)."""
    dissolved = Region.valid_to <= today()
    query = select(Region).where(dissolved.is_not(True)).order_by(Region.code).limit(limit)
    if level is not None:
        query = query.where(Region.level == level)
    if parent is not None:
        query = query.where(Region.parent_code == parent)
    if q is not None:
        query = query.where(Region.name.icontains(q, autoescape=True) | Region.code.startswith(q, autoescape=True))
    if after is not None:
        query = query.where(Region.code > after)
    return list(await session.scalars(query))


async def find_region(session: AsyncSession, code: str) -> Region | None:
    return await session.scalar(select(Region).where(Region.code == code))


async def get_region(session: AsyncSession, code: str) -> tuple[Region, list[RegionAlias]]:
    """Return a region by its present or a former code, with all its former codes. Raises NotFound."""
    region = await find_region(session, await current_code(session, code))
    if region is None:
        raise NotFound("There is no region {given} in Kalimantan Timur", values={"given": code[:60]})
    query = select(RegionAlias).where(RegionAlias.region_code == region.code).order_by(RegionAlias.code)
    return region, list(await session.scalars(query))


async def current_code(session: AsyncSession, code: str) -> str:
    """Return the present code for a former one; any other text is returned unchanged."""
    if code in _permanent_codes():
        return code
    alias = await session.get(RegionAlias, code)
    in_force = alias is not None and (alias.valid_to is None or alias.valid_to <= today())
    return alias.region_code if alias is not None and in_force else code


async def require_current_code(session: AsyncSession, code: str | None, *, field: str = "region") -> str | None:
    """Return the present code. Raises Invalid for an unknown code."""
    if code is not None:
        code = await current_code(session, code)
        require_known(code, field=field)
    return code


async def require_current_codes(session: AsyncSession, codes: Collection[str]) -> tuple[str, ...]:
    """Return the distinct present codes, in order. Raises Invalid for the first unknown one."""
    current = {await current_code(session, code) for code in codes}
    for code in sorted(current):
        require_known(code)
    return tuple(sorted(current))


async def find_villages(session: AsyncSession, codes: Collection[str]) -> dict[str, Region]:
    """Return villages by the codes given, which may be former ones."""
    distinct = sorted(set(codes))
    any_code = any_(literal(distinct, ARRAY(Text)))
    by_code = {region.code: region for region in await session.scalars(select(Region).where(Region.code == any_code))}
    if len(by_code) < len(distinct):
        former = select(RegionAlias.code, Region).join(Region, Region.code == RegionAlias.region_code)
        in_force = or_(RegionAlias.valid_to.is_(None), RegionAlias.valid_to <= today())
        rows = await session.execute(former.where(RegionAlias.code == any_code, in_force))
        by_code = {row[0]: row[1] for row in rows} | by_code
    return {code: region for code, region in by_code.items() if region.level is Level.DESA_KELURAHAN}


def require_known(code: str | None, *, field: str = "region") -> None:
    """Raises Invalid for a code that is not a region's present one."""
    if code is None or code in names():
        return
    dotted = re.sub(r"^(\d\d)\.?(\d\d)?\.?(\d\d)?\.?(\d{4})?$", lambda m: ".".join(filter(None, m.groups())), code)
    near = dotted if dotted in names() else next(iter(difflib.get_close_matches(code, names(), 1)), None)
    raise Invalid(
        Fault(
            field,
            "unknown_region",
            "There is no region {given} in Kalimantan Timur",
            "Did you mean {near}?" if near else "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>",
            values={"given": code, "near": near},
        )
    )


@cache
def _permanent_codes() -> frozenset[str]:
    return frozenset(row["code"] for row in read_csv() if row["valid_to"] is None)


@cache
def names() -> dict[str, str]:
    """Return every region's name by its code."""
    return {row["code"]: row["name"] for row in read_csv()}


@cache
def children(code: str) -> list[str]:
    """Return the codes of the regions directly below."""
    return sorted(row["code"] for row in read_csv() if row["parent_code"] == code)
