"""Where sites' telemetry comes from, and what it said: read within the caller's scope, registered by admins."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_region
from app.core.errors import Conflict, Fault, Invalid
from app.core.periods import Period
from app.core.pii import MASK
from app.core.sealing import Sealer
from app.registry.models import Site
from app.telemetry import disagreements, faults, secrets
from app.telemetry.models import TelemetryAccount, TelemetryGap, TelemetryKind, TelemetrySource, TelemetryStretch
from app.telemetry.recording import READ_EVERY_S
from app.telemetry.schemas import AccountSourceIn, SnmpIn
from app.witnesses.kinds import WitnessKind
from probes.policy import AddressPolicy

MAX_STRETCHES, MAX_GAPS = 500, 100
SHOWN = (
    *("kind", "witness", "device_id", "host", "port", "interface", "interface_name"),
    *("said_at", "read_at", "failures", "problem", "created_by"),
)

LAST = text("""
    SELECT DISTINCT ON (kind) kind, state, cause, alerts, booted_at, figures
    FROM telemetry_stretch WHERE site_id = :site_id ORDER BY kind, started_at DESC
""")


async def read_site(session: AsyncSession, site: Site, period: Period) -> dict[str, Any]:
    """Return a site's sources, what they said in a period, and where that differs from what was measured."""
    stretches = select(TelemetryStretch).where(
        TelemetryStretch.site_id == site.id,
        TelemetryStretch.started_at < period.end,
        TelemetryStretch.seen_at >= period.start,
    )
    stretches = stretches.order_by(TelemetryStretch.started_at.desc(), TelemetryStretch.kind).limit(MAX_STRETCHES)
    return {
        "sources": await _list_sources(session, site.id),
        "from": period.start,
        "to": period.end,
        "stretches": [_stretch_fields(stretch) for stretch in await session.scalars(stretches)],
        "gaps": [_gap_fields(gap) for gap in await session.scalars(_gaps_of(site.id, period))],
        "disagreements": [
            {name: getattr(row, name) for name in ("kind", "witness", "said", "measured", "started_at", "ended_at")}
            for row in await disagreements.list_disagreements(session, [site.id], period)
        ],
    }


def _gaps_of(site_id: int, period: Period) -> Select[TelemetryGap]:
    accounts = select(TelemetrySource.account_id).where(TelemetrySource.site_id == site_id)
    return (
        select(TelemetryGap)
        .where(
            TelemetryGap.account_id.in_(accounts),
            TelemetryGap.started_at < period.end,
            TelemetryGap.ended_at.is_(None) | (TelemetryGap.ended_at > period.start),
        )
        .order_by(TelemetryGap.started_at.desc())
        .limit(MAX_GAPS)
    )


async def _list_sources(session: AsyncSession, site_id: int) -> list[dict[str, Any]]:
    last = {row.kind: row for row in await session.execute(LAST, {"site_id": site_id})}
    query = (
        select(TelemetrySource, TelemetryAccount.name)
        .outerjoin(TelemetryAccount, TelemetryAccount.id == TelemetrySource.account_id)
        .where(TelemetrySource.site_id == site_id)
        .order_by(TelemetrySource.kind)
    )
    return [_source_fields(source, name, last.get(source.kind)) for source, name in await session.execute(query)]


def _source_fields(source: TelemetrySource, account_name: str | None, last: Any) -> dict[str, Any]:
    return {name: getattr(source, name) for name in SHOWN} | {
        "account": source.account_id,
        "account_name": account_name,
        "version": source.snmp_version,
        "every_s": READ_EVERY_S[source.kind],
        "state": last.state if last else None,
        "cause": last.cause if last else None,
        "alerts": last.alerts if last else [],
        "booted_at": last.booted_at if last else None,
        "figures": last.figures if last else {},
    }


def _stretch_fields(stretch: TelemetryStretch) -> dict[str, Any]:
    names = ("kind", "witness", "state", "cause", "started_at", "seen_at", "widest_gap_s", "booted_at", "alerts")
    return {name: getattr(stretch, name) for name in (*names, "figures", "heard_at")} | {"answers": stretch.samples}


def _gap_fields(gap: TelemetryGap) -> dict[str, Any]:
    return {name: getattr(gap, name) for name in ("started_at", "ended_at", "reason")}


async def put_account_source(session: AsyncSession, site: Site, body: AccountSourceIn, *, caller: Caller) -> None:
    """Register or change a site's terminal at an account.

    Raises NotAllowed, Invalid for an account of another provider, Conflict for a terminal that another site has.
    """
    require_region(caller, site.village_code)
    account = await _find_account(session, site, body.account)
    if account is None:
        raise Invalid(
            Fault(
                "account",
                "unknown_account",
                "There is no account {given} of this site's provider",
                "Look it up: GET /api/v1/telemetry/accounts",
                values={"given": body.account},
            )
        )
    await _require_free(session, site, account.id, body.device_id)
    source = await _lock(session, site.id, TelemetryKind.STARLINK_ACCOUNT)
    before = None if source is None else _audit_fields(source)
    if source is None:
        source = _new(session, site, TelemetryKind.STARLINK_ACCOUNT, caller)
    source.witness, source.account_id, source.device_id = WitnessKind.PROVIDER, account.id, body.device_id
    await _save(session, site, source, before, caller)


async def _find_account(session: AsyncSession, site: Site, ident: str) -> TelemetryAccount | None:
    query = select(TelemetryAccount).where(TelemetryAccount.provider_id == site.provider_id)
    is_id = re.fullmatch(r"[0-9]{1,9}", ident)
    named = TelemetryAccount.name == ident
    query = query.where(or_(TelemetryAccount.id == int(ident), named) if is_id else named)
    return (await session.scalars(query.order_by(TelemetryAccount.id).limit(1))).one_or_none()


async def _require_free(session: AsyncSession, site: Site, account_id: int, device_id: str) -> None:
    query = select(Site.code).join(TelemetrySource, TelemetrySource.site_id == Site.id)
    query = query.where(
        TelemetrySource.account_id == account_id, TelemetrySource.device_id == device_id, Site.id != site.id
    )
    if (other := await session.scalar(query)) is not None:
        raise Conflict(
            faults=[
                Fault(
                    "device_id",
                    "device_in_use",
                    "This terminal is registered at site {given}",
                    "Remove it there first",
                    values={"given": other},
                )
            ]
        )


async def put_snmp_source(
    session: AsyncSession, site: Site, body: SnmpIn, *, caller: Caller, sealer: Sealer, policy: AddressPolicy
) -> None:
    """Register or change the router of a site. Raises NotAllowed, Invalid with every fault."""
    require_region(caller, site.village_code)
    source = await _lock(session, site.id, TelemetryKind.SNMP)
    kept = source.snmp_version if source is not None else None
    found = [*faults.of_host(body.host, policy, "host"), *faults.of_access(body, kept)]
    if found:
        raise Invalid(*found)
    before = None if source is None else _audit_fields(source)
    if source is None:
        source = _new(session, site, TelemetryKind.SNMP, caller)
    if (source.host, source.port, source.interface) != (body.host, body.port, body.interface):
        source.interface_name = None
    source.witness = WitnessKind.PROVIDER if body.at_provider else WitnessKind.TERMINAL
    source.host, source.port, source.interface = body.host, body.port, body.interface
    source.snmp_version, source.next_at, source.failures, source.problem = body.version, None, 0, None
    if body.community is not None or body.auth_key is not None:
        source.secret = secrets.seal(sealer, body)
    await _save(session, site, source, before, caller)


async def delete_source(session: AsyncSession, site: Site, kind: TelemetryKind, *, caller: Caller) -> None:
    """What it said stays. Idempotent. Raises NotAllowed."""
    require_region(caller, site.village_code)
    source = await _lock(session, site.id, kind)
    if source is None:
        return
    before = _audit_fields(source)
    await session.delete(source)
    await audit.record(
        session, caller, "remove", "site", site.id, region_code=site.village_code, before={"telemetry": before}
    )


async def _lock(session: AsyncSession, site_id: int, kind: TelemetryKind) -> TelemetrySource | None:
    query = select(TelemetrySource).where(TelemetrySource.site_id == site_id, TelemetrySource.kind == kind)
    return (await session.scalars(query.with_for_update())).one_or_none()


def _new(session: AsyncSession, site: Site, kind: TelemetryKind, caller: Caller) -> TelemetrySource:
    source = TelemetrySource(site_id=site.id, kind=kind, created_by=caller.who, failures=0)
    session.add(source)
    return source


async def _save(
    session: AsyncSession, site: Site, source: TelemetrySource, before: dict[str, Any] | None, caller: Caller
) -> None:
    if not session.is_modified(source):
        return
    hidden = {"secret": MASK} if source.secret is not None else {}
    await session.flush()
    await audit.record(
        session,
        caller,
        "change",
        "site",
        site.id,
        region_code=site.village_code,
        before=before and {"telemetry": before},
        after={"telemetry": _audit_fields(source) | hidden},
    )


def _audit_fields(source: TelemetrySource) -> dict[str, Any]:
    names = ("kind", "witness", "account_id", "device_id", "host", "port", "interface", "snmp_version")
    return {name: getattr(source, name) for name in names if getattr(source, name) is not None}


def present_gaps(gaps: Sequence[TelemetryGap]) -> list[dict[str, Any]]:
    return [_gap_fields(gap) for gap in gaps]
