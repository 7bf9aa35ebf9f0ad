"""The one door into the registry: one site or thousands are looked at, and written, together.

Whoever writes holds the registry's counter first (`store`, `importing`): addresses, codes and parents then stay as
they were looked at until the commit, and two writers at once wait for each other instead of for a deadlock.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from app.access import audit
from app.access.audit import Entry
from app.access.scope import Caller, require_writer
from app.core.clock import floor_second, utc_now
from app.core.errors import Fault
from app.postgres.engine import Counter, among, next_version
from app.profiles import profiles
from app.registry import references, rules
from app.registry.drafts import Draft, address
from app.registry.models import Lifecycle, Site, SiteConfiguration, SiteStatus, State, UnknownReason
from app.registry.references import Known
from probes.policy import AddressPolicy

look_up = references.look_up

# A site's code begins with its first village's, also after it moved: '.' follows '-' in the order of characters.
LAST_NUMBERS = text("""
    SELECT village, coalesce((
        SELECT max(substr(code, length(village) + 2)::int) FROM site
        WHERE code ~>=~ (village || '-') AND code ~<~ (village || '.')
    ), 0) AS number FROM unnest(cast(:villages AS text[])) village
""")


def check(draft: Draft, known: Known, *, policy: AddressPolicy) -> list[Fault]:
    """Everything that is wrong with a draft by itself; one that is sound is completed."""
    faults = known.check(draft) + rules.check(draft.values, policy=policy)
    if not faults and draft.values["village_code"] and draft.values["provider"]:
        known.complete(draft)
    return faults


async def write(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> int:
    """Makes and changes sites out of sound drafts that do not clash: under one version, each with its entries in
    the audit. Returns how many there were to write. Raises NotAllowed outside the caller's scope."""
    new = [draft for draft in drafts if draft.site is None]
    changes = {draft: changes for draft in drafts if draft.site is not None and (changes := draft.changes)}
    for draft in (*new, *changes):
        require_writer(caller, str(draft.values["village_code"]))
        if draft.site is not None:
            require_writer(caller, draft.site.village_code)
    if not new and not changes:
        return 0
    version, now = await next_version(session, Counter.REGISTRY), utc_now()
    entries = [entry for draft, said in changes.items() for entry in _change_entries(draft, said)]
    await _change(session, changes, version=version, now=now)
    entries += await _make(session, new, version=version, now=now)
    await audit.record_all(session, caller, entries)
    return len(new) + len(changes)


async def _make(session: AsyncSession, drafts: Sequence[Draft], *, version: int, now: datetime) -> list[Entry]:
    if not drafts:
        return []
    at, said = floor_second(now), [draft.changes for draft in drafts]
    for draft, code in zip(drafts, await _next_codes(session, [d.values["village_code"] for d in drafts]), strict=True):
        draft.site = Site(
            **{name: value for name, value in draft.values.items() if name != "provider"},
            code=code,
            version=version,
            addressed_at=at,
            created_at=now,
            updated_at=now,
        )
        assert draft.provider is not None
        draft.site.provider = draft.provider
        session.add(draft.site)
    await session.flush()
    sites = [draft.site for draft in drafts if draft.site is not None]
    await session.execute(insert(SiteConfiguration), [_configuration(site, at) for site in sites])
    await _open_statuses(session, sites)
    return [
        Entry("create", "site", site.code, site.village_code, after={name: after for name, (_, after) in each.items()})
        for site, each in zip(sites, said, strict=True)
    ]


async def _next_codes(session: AsyncSession, villages: Sequence[str]) -> list[str]:
    """`<village>-<nn>`, counting on, also past those that moved away."""
    rows = await session.execute(LAST_NUMBERS, {"villages": sorted(set(villages))})
    last = {row.village: row.number for row in rows}
    codes = []
    for village in villages:
        last[village] += 1
        codes.append(f"{village}-{last[village]:02d}")
    return codes


async def _open_statuses(session: AsyncSession, sites: Sequence[Site]) -> None:
    version = await next_version(session, Counter.STATUS)
    await session.execute(
        insert(SiteStatus),
        [
            {
                "site_id": site.id,
                "version": version,
                "state": State.UNKNOWN,
                "unknown_reason": UnknownReason.NEVER_SEEN,
                "since": site.addressed_at,
                "valid_s": profiles()[site.technology].interval_s,
                "timeouts": 0,
                "addressed_at": site.addressed_at,
            }
            for site in sites
        ],
    )


def _change_entries(draft: Draft, said: Mapping[str, tuple[Any, Any]]) -> Iterator[Entry]:
    """Where the site lies then; of one that moves, also where it lay: who answers for that place sees it leave."""
    assert draft.site is not None
    retires = said.get("lifecycle", (None, None))[1] is Lifecycle.RETIRED
    yield Entry(
        "retire" if retires else "change",
        "site",
        draft.site.code,
        draft.values["village_code"],
        before={name: before for name, (before, _) in said.items()},
        after={name: after for name, (_, after) in said.items()},
    )
    if moved := said.get("village_code"):
        there, here = moved
        yield Entry(
            "move_away", "site", draft.site.code, there, before={"village_code": there}, after={"village_code": here}
        )


async def _change(
    session: AsyncSession, changes: Mapping[Draft, Mapping[str, Any]], *, version: int, now: datetime
) -> None:
    if len(changes) > 1:
        await _leave_addresses(session, list(changes))
    dated = []
    for draft, said in changes.items():
        site = draft.site
        assert site is not None
        before = site.configuration, site.address
        for name in said.keys() - {"provider"}:
            setattr(site, name, draft.values[name])
        if "provider" in said and draft.provider is not None:
            site.provider, site.provider_id = draft.provider, draft.provider.id
        if site.address != before[1]:
            site.addressed_at = floor_second(now)
        site.version, site.updated_at = version, now
        if site.configuration != before[0]:
            dated.append(site)
    await session.flush()
    await _redate(session, dated, floor_second(now))


async def _leave_addresses(session: AsyncSession, drafts: Sequence[Draft]) -> None:
    """Sites may take over each other's addresses, in whatever order the rows are written."""
    sites = [d.site for d in drafts if d.site is not None and _has(d.site) not in {None, address(d.values)}]
    if sites:
        await session.execute(
            update(Site).where(among(Site.id, [site.id for site in sites])).values(host=None),
            execution_options={"synchronize_session": False},
        )
        for site in sites:
            flag_modified(site, "host")


def _has(site: Site) -> object:
    return address({name: getattr(site, name) for name in ("lifecycle", "host", "probe", "port")})


async def _redate(session: AsyncSession, sites: Sequence[Site], at: datetime) -> None:
    """Ends the configurations in force and starts the new ones; two changes within a second keep the last."""
    if not sites:
        return
    in_force = select(SiteConfiguration).where(
        among(SiteConfiguration.site_id, [site.id for site in sites]), SiteConfiguration.ended_at.is_(None)
    )
    current = {row.site_id: row for row in await session.scalars(in_force)}
    fresh = []
    for site in sites:
        row = current.get(site.id)
        if row is not None and row.started_at >= at:
            for name, value in _configuration(site, row.started_at).items():
                setattr(row, name, value)
            continue
        if row is not None:
            row.ended_at = at
        fresh.append(_configuration(site, at))
    await session.flush()
    if fresh:
        await session.execute(insert(SiteConfiguration), fresh)


def _configuration(site: Site, at: datetime) -> dict[str, Any]:
    return {
        "site_id": site.id,
        "started_at": at,
        "ended_at": None,
        "lifecycle": site.lifecycle,
        "technology": site.technology,
        "provider_id": site.provider_id,
        "parent_id": site.parent_id,
        "contract_id": site.contract_id,
        "addressed_at": site.addressed_at,
        "village_code": site.village_code,
    }
