"""Check and write sites, one or thousands together: every write of the registry goes through here.

Callers take the registry's counter first (`store`, `importing`): addresses, codes and parents then stay as they were
checked until the commit, and concurrent writers wait for each other instead of deadlocking.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from app.access import audit
from app.access.audit import AuditEntry
from app.access.scope import Caller, require_writer
from app.core.clock import floor_second, today, utc_now
from app.core.errors import Fault
from app.postgres.engine import Counter, among, next_version
from app.postgres.insert_columns import insert_rows
from app.profiles import profiles
from app.registry import references, rules, site_contracts
from app.registry.drafts import AddressKey, CreatedSite, Draft, address_key
from app.registry.models import DATED_FIELDS, Lifecycle, Site, SiteConfiguration, SiteStatus, State, UnknownReason
from app.registry.references import References
from app.registry.site_contracts import ContractChange
from probes.policy import AddressPolicy

load_references = references.load

CONTRACT_FIELDS = frozenset({"contract_id", "contract_from"})
UNMAPPED = CONTRACT_FIELDS | {"provider"}  # fields of drafts that are no columns of a site

# A site's code keeps the prefix of its first village after a move. '.' sorts right after '-', so it bounds the range.
LAST_NUMBERS = text("""
    SELECT village, coalesce((
        SELECT max(substr(code, length(village) + 2)::int) FROM site
        WHERE code ~>=~ (village || '-') AND code ~<~ (village || '.')
    ), 0) AS number FROM unnest(cast(:villages AS text[])) village
""")


def check(draft: Draft, references: References, *, policy: AddressPolicy) -> list[Fault]:
    """Return all faults of a draft by itself; without any, complete it."""
    faults = references.check(draft) + rules.check(draft.values, policy=policy)
    if not faults and draft.values["village_code"] and draft.values["provider"]:
        references.complete(draft)
    return faults


async def write(
    session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller, contract_reason: str | None = None
) -> int:
    """Create and change sites from drafts without faults or conflicts, under one version, and audit each.

    `contract_reason` is recorded with the days under contracts that change. Returns the number of sites written; drafts
    that change nothing are skipped. Raises NotAllowed out of scope.
    """
    new = [draft for draft in drafts if draft.site is None]
    changes = {draft: changes for draft in drafts if draft.site is not None and (changes := draft.changes)}
    for draft in (*new, *changes):
        require_writer(caller, str(draft.values["village_code"]))
        if draft.site is not None:
            require_writer(caller, draft.site.village_code)
    if not new and not changes:
        return 0
    version, now = await next_version(session, Counter.REGISTRY), utc_now()
    entries = [entry for draft, changed in changes.items() for entry in _change_entries(draft, changed)]
    values = {draft: draft.changes for draft in new}
    contracts = [draft for draft, changed in (values | changes).items() if CONTRACT_FIELDS & changed.keys()]
    await _change(session, changes, version=version, now=now)
    entries += await _create(session, values, version=version, now=now)
    await _change_contracts(session, contracts, caller=caller, version=version, reason=contract_reason)
    await audit.record_all(session, caller, entries)
    return len(new) + len(changes)


async def _create(
    session: AsyncSession, changes: Mapping[Draft, Mapping[str, Any]], *, version: int, now: datetime
) -> list[AuditEntry]:
    """Insert the sites with their first configuration and status, and note in each draft what it became."""
    if not changes:
        return []
    drafts, at = list(changes), floor_second(now)
    dated = {"version": version, "addressed_at": at, "created_at": now, "updated_at": now}
    codes = await _next_codes(session, [draft.values["village_code"] for draft in drafts])
    rows = [_site_row(draft, code, dated) for draft, code in zip(drafts, codes, strict=True)]
    ids = {row.code: row.id for row in await insert_rows(session, Site, rows, returning="id, code")}
    for draft, row in zip(drafts, rows, strict=True):
        draft.created = CreatedSite(ids[row["code"]], row["code"], row["link_role"])
    first = {"started_at": at, "ended_at": None, "version": version}
    await insert_rows(
        session,
        SiteConfiguration,
        ({"site_id": ids[row["code"]], **first, **{name: row[name] for name in DATED_FIELDS}} for row in rows),
    )
    await insert_rows(session, SiteStatus, (_first_status(ids[row["code"]], row) for row in rows))
    return [
        AuditEntry(
            "create", "site", code, draft.values["village_code"], after={n: after for n, (_, after) in changed.items()}
        )
        for (draft, changed), code in zip(changes.items(), codes, strict=True)
    ]


def _site_row(draft: Draft, code: str, dated: Mapping[str, Any]) -> dict[str, Any]:
    assert draft.provider is not None
    row = {name: value for name, value in draft.values.items() if name not in UNMAPPED}
    return row | {"code": code, "provider_id": draft.provider.id, **dated}


def _first_status(site_id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever follows statuses reads those of new sites by the registry's version: the counter of statuses, which each
    round takes, stays free however many sites are written."""
    return {
        "site_id": site_id,
        "version": 0,
        "state": State.UNKNOWN,
        "unknown_reason": UnknownReason.NEVER_SEEN,
        "since": row["addressed_at"],
        "valid_s": profiles()[row["technology"]].interval_s,
        "timeouts": 0,
        "addressed_at": row["addressed_at"],
    }


async def _change_contracts(
    session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller, version: int, reason: str | None
) -> None:
    """Have sites be under their contracts from the day that their drafts give, else from today on."""
    changes = [
        ContractChange(site, draft.values["contract_id"], draft.contract_from or today(), reason)
        for draft in drafts
        if (site := draft.registered) is not None
    ]
    if changes:
        await site_contracts.change(session, changes, caller=caller, version=version)


async def _next_codes(session: AsyncSession, villages: Sequence[str]) -> list[str]:
    """Return `<village>-<nn>` for each; the numbers of sites that moved away are not reused."""
    rows = await session.execute(LAST_NUMBERS, {"villages": sorted(set(villages))})
    last = {row.village: row.number for row in rows}
    codes = []
    for village in villages:
        last[village] += 1
        codes.append(f"{village}-{last[village]:02d}")
    return codes


def _change_entries(draft: Draft, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[AuditEntry]:
    """Yield the change under the new village; for a move also an entry under the old one, whose district sees it."""
    assert draft.site is not None
    retires = changes.get("lifecycle", (None, None))[1] is Lifecycle.RETIRED
    yield AuditEntry(
        "retire" if retires else "change",
        "site",
        draft.site.code,
        draft.values["village_code"],
        before={name: before for name, (before, _) in changes.items()},
        after={name: after for name, (_, after) in changes.items()},
    )
    if moved := changes.get("village_code"):
        old, new = moved
        yield AuditEntry(
            "move_away", "site", draft.site.code, old, before={"village_code": old}, after={"village_code": new}
        )


async def _change(
    session: AsyncSession, changes: Mapping[Draft, Mapping[str, Any]], *, version: int, now: datetime
) -> None:
    if len(changes) > 1:
        await _release_addresses(session, list(changes))
    reconfigured = []
    for draft, changed in changes.items():
        site = draft.site
        assert site is not None
        configuration, address = site.configuration, site.address
        for name in changed.keys() - UNMAPPED:
            setattr(site, name, draft.values[name])
        if "provider" in changed and draft.provider is not None:
            site.provider, site.provider_id = draft.provider, draft.provider.id
        if site.address != address:
            site.addressed_at = floor_second(now)
        site.version, site.updated_at = version, now
        if site.configuration != configuration:
            reconfigured.append(site)
    await session.flush()
    await _date_configurations(session, reconfigured, floor_second(now))


async def _release_addresses(session: AsyncSession, drafts: Sequence[Draft]) -> None:
    """Clear hosts that change, so that sites can swap addresses whatever the order of their rows."""
    sites = [
        draft.site
        for draft in drafts
        if draft.site is not None and _held_address(draft.site) not in {None, address_key(draft.values)}
    ]
    if sites:
        await session.execute(
            update(Site).where(among(Site.id, [site.id for site in sites])).values(host=None),
            execution_options={"synchronize_session": False},
        )
        for site in sites:
            flag_modified(site, "host")


def _held_address(site: Site) -> AddressKey | None:
    return address_key({name: getattr(site, name) for name in ("lifecycle", "host", "probe", "port")})


async def _date_configurations(session: AsyncSession, sites: Sequence[Site], at: datetime) -> None:
    """End the configurations in force and start new ones; of two changes within a second the last is kept."""
    if not sites:
        return
    in_force = select(SiteConfiguration).where(
        among(SiteConfiguration.site_id, [site.id for site in sites]), SiteConfiguration.ended_at.is_(None)
    )
    open_rows = {row.site_id: row for row in await session.scalars(in_force)}
    started = []
    for site in sites:
        row = open_rows.get(site.id)
        if row is not None and row.started_at >= at:
            for name, value in _configuration(site, row.started_at).items():
                setattr(row, name, value)
            continue
        if row is not None:
            row.ended_at = at
        started.append(_configuration(site, at))
    await session.flush()
    await insert_rows(session, SiteConfiguration, started)


def _configuration(site: Site, at: datetime) -> dict[str, Any]:
    return {"site_id": site.id, "started_at": at, "ended_at": None, "version": site.version, **site.configuration}
