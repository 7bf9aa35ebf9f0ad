"""Keep incidents in step with the ledger, however often it is rewritten: identities and people's work on them stay.

1. Find the sites that the written ranges affect, and load their outages whole (`affected_sites`).
2. Match each site's derived outages with those recorded: update bounds, withdraw what is gone, restore what is back
   (`outages`).
3. Collect the outages of no incident yet, and move clusters with one cause into a shared incident (`groups`,
   `correlation`).
4. Derive bounds, status and cause hint of every incident touched, with an event for each change (`derive_status`).
5. Carry confirmed causes over to the new bounds (`outage_causes`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents import affected_sites, forgery_signs, groups, near_evidence, outage_causes
from app.incidents.affected_sites import SiteOutages
from app.incidents.correlation import find_clusters
from app.incidents.derive_status import update_derived_fields
from app.incidents.device_uptime import find_device_uptimes
from app.incidents.groups import Group
from app.incidents.models import Happening, Incident, IncidentEvent, IncidentKind, IncidentSite, IncidentStatus
from app.incidents.outage_causes import OutageRange
from app.incidents.outages import Outage, match_outages, overlap_s
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Counter, among, lock_counter, next_version
from app.registry.models import Cause, State

PARENT_WAIT = timedelta(seconds=60)  # after an outage is confirmed, for its parent's state to become known


async def reconcile_incidents(
    session: AsyncSession, dirty_ranges: Sequence[DirtyRange], *, now: datetime
) -> list[Incident]:
    """Bring incidents in step with the ledger after these ranges were rewritten, in the same transaction.

    Return the incidents that changed. Idempotent. One statement where no outage and no incident is near.
    """
    affected = await affected_sites.find_affected(session, dirty_ranges, now=now) if dirty_ranges else {}
    if not affected:
        return []
    await lock_counter(session, Counter.INCIDENT)
    reconciliation = Reconciliation(session, now)
    for site in await affected_sites.load_site_outages(session, affected):
        reconciliation.match_site(site)
    await reconciliation.finish()
    return list(reconciliation.changed.values())


@dataclass(slots=True)
class Reconciliation:
    """Changes collected site by site, then applied by `finish`."""

    session: AsyncSession
    now: datetime
    moved: list[IncidentSite] = field(default_factory=list)  # rows with new bounds
    restarted: list[IncidentSite] = field(default_factory=list)  # those of them with a new start
    new: list[IncidentSite] = field(default_factory=list)  # rows not stored yet
    merged: list[tuple[Incident, Incident]] = field(default_factory=list)  # (from, into)
    changed: dict[int, Incident] = field(default_factory=dict)  # by id(): a new incident has no row id yet

    def match_site(self, site: SiteOutages) -> None:
        """Stage 2: update, withdraw, restore or collect the site's outages."""
        pairs = match_outages(site.recorded, site.outages)
        matched_rows = {id(row) for row, _ in pairs}
        matched_outages = {outage for _, outage in pairs}
        for row, outage in pairs:
            self._update_bounds(row, outage)
        for row in site.recorded:
            if id(row) not in matched_rows:
                self._withdraw(row, merged_into=_incident_over(row, pairs))
        unmatched = [outage for outage in site.outages if outage not in matched_outages]
        self._add(site, [outage for outage in unmatched if not awaits_parent(site, outage, self.now)])

    def _update_bounds(self, row: IncidentSite, outage: Outage) -> None:
        bounds = asdict(outage)
        if any(getattr(row, name) != value for name, value in bounds.items()):
            if row.started_at != outage.started_at:
                self.restarted.append(row)
            for name, value in bounds.items():
                setattr(row, name, value)
            self.moved.append(row)
            self._add_changed(row.incident)

    def _withdraw(self, row: IncidentSite, *, merged_into: Incident | None) -> None:
        row.withdrawn_at = self.now
        self._add_changed(row.incident)
        if _is_shared(row.incident):
            self._add_event(row, Happening.LEFT)
        if merged_into is not None and merged_into is not row.incident:
            self.merged.append((row.incident, merged_into))

    def _add(self, site: SiteOutages, outages: Iterable[Outage]) -> None:
        """Restore the withdrawn row that overlaps an outage most, or else collect a new row.

        Not restored: rows that a shared incident took over, and rows withdrawn before the outage started.
        """
        shared = {row.incident_id for row in (*site.recorded, *site.withdrawn) if _is_shared(row.incident)}
        withdrawn = [row for row in site.withdrawn if row.incident.merged_into not in shared]
        for outage in outages:
            candidates = [row for row in withdrawn if _continues(row, outage)]
            if not candidates:
                self.new.append(IncidentSite(site_id=site.site_id, **asdict(outage)))
                continue
            row = max(candidates, key=lambda row: (overlap_s(row, outage), row.id))
            withdrawn.remove(row)
            row.withdrawn_at = None
            if _is_shared(row.incident):
                self._add_event(row, Happening.JOINED)
            self._add_changed(row.incident)
            self.restarted.append(row)
            self._update_bounds(row, outage)

    async def finish(self) -> None:
        """Stages 3 to 5."""
        started = [*self.new, *self.restarted]
        if started:
            for group in await groups.load_groups(self.session, started):
                self._share(group, {id(row) for row in started})
        for row in self.new:
            if row.incident is None:
                row.incident = self._create_incident(row, IncidentKind.SINGLE)
        if not self.changed:
            return
        self.session.add_all(self.new)
        await self._mark_refuted()
        await self._update_incidents(await next_version(self.session, Counter.INCIDENT))
        await self._carry_causes()

    def _share(self, group: Group, started: set[int]) -> None:
        """Move each cluster with a started outage into one shared incident; members of other shared ones stay."""

        def is_member(row: IncidentSite) -> bool:
            return groups.key_of(row.incident) == group.key

        free = [
            row
            for row in group.outages
            if row.withdrawn_at is None and (groups.key_of(row.incident) is None or is_member(row))
        ]
        for cluster in find_clusters(free, group.size, is_member=is_member):
            joining = [row for row in cluster if not is_member(row)]
            if not joining or started.isdisjoint(map(id, cluster)):
                continue
            existing = [row.incident for row in cluster if is_member(row)]
            shared = (
                min(existing, key=lambda incident: incident.id or 0)
                if existing
                else self._create_incident(cluster[0], IncidentKind.SHARED, group)
            )
            for row in joining:
                self._join(row, shared)

    def _join(self, row: IncidentSite, shared: Incident) -> None:
        """An incident that the outage had on its own is withdrawn, keeps its id and points to the shared one."""
        self._add_changed(shared)
        if row.incident is None:
            row.incident = shared
        else:
            bounds = {name: getattr(row, name) for name in Outage.__slots__}
            self._withdraw(row, merged_into=shared)
            row = IncidentSite(site_id=row.site_id, incident=shared, **bounds)
            self.new.append(row)
        self._add_event(row, Happening.JOINED)

    def _create_incident(self, row: IncidentSite, kind: IncidentKind, group: Group | None = None) -> Incident:
        key = group.key if group else None
        incident = Incident(
            kind=kind,
            status=IncidentStatus.OPEN,
            opened_at=self.now,
            started_at=row.started_at,
            version=0,
            shared_parent_id=key and key.parent_id,
            shared_provider_id=key and key.provider_id,
            shared_district=key and key.district,
        )
        self._add_changed(incident)
        return incident

    def _add_changed(self, incident: Incident) -> None:
        self.changed[id(incident)] = incident

    def _add_event(self, row: IncidentSite, kind: Happening) -> None:
        self.session.add(IncidentEvent(incident=row.incident, site_id=row.site_id, at=self.now, kind=kind))

    async def _update_incidents(self, version: int) -> None:
        self.session.add_all([*self.changed.values(), *self.new])
        await self.session.flush()
        merged_into = {id(incident): into.id for incident, into in self.merged}
        rows = await _rows_by_incident(self.session, [incident.id for incident in self.changed.values()])
        single = [row for incident in self.changed.values() if not _is_shared(incident) for row in rows[incident.id]]
        device_uptimes = await find_device_uptimes(self.session, single)
        near = await near_evidence.find_near_evidence(self.session, single)
        for incident in self.changed.values():
            event = update_derived_fields(
                incident,
                rows[incident.id],
                merged_into=merged_into.get(id(incident)),
                device_uptimes=device_uptimes,
                near=near,
                now=self.now,
            )
            if event is not None:
                self.session.add(event)
            incident.version = version
        await self.session.flush()

    async def _mark_refuted(self) -> None:
        """Note what speaks for a forgery beside each claim, and an event for the first one."""
        refuted = [row for row in (*self.new, *self.moved) if row.refuted_at is not None and row.withdrawn_at is None]
        signs = await forgery_signs.find_signs(self.session, refuted)
        for row in refuted:
            known = set(row.refuted_signs or ())
            if row.refuted_signs is None:
                self._add_event(row, Happening.REFUTED)
            row.refuted_signs = sorted(known | signs[row.site_id, row.started_at])

    async def _carry_causes(self) -> None:
        """Set an incident's confirmed cause over the new bounds of its outages, and for those that joined it."""
        outages: dict[tuple[Cause, str], list[OutageRange]] = defaultdict(list)
        for row in (*self.moved, *self.new):
            incident = row.incident
            if row.withdrawn_at is None and incident.cause is not None:
                outage = OutageRange(row.site_id, row.started_at, row.ended_at)
                outages[incident.cause, incident.cause_confirmed_by or ""].append(outage)
        for (cause, by), ranges in outages.items():
            await outage_causes.set_causes(self.session, ranges, cause, by)


def awaits_parent(site: SiteOutages, outage: Outage, now: datetime) -> bool:
    """Whether the parent's state is not known yet: if the parent is down, the outage is no incident of its own."""
    parent, confirmed_at = site.parent, outage.confirmed_at or outage.started_at
    if parent is None or now >= confirmed_at + PARENT_WAIT:
        return False
    unseen = parent.seen_at is None or parent.seen_at < outage.started_at
    return unseen or parent.pending_at is not None or parent.state in {State.DOWN, State.UNREACHABLE}


def _is_shared(incident: Incident) -> bool:
    return incident.kind is IncidentKind.SHARED


def _continues(row: IncidentSite, outage: Outage) -> bool:
    return overlap_s(row, outage) > 0 and (row.withdrawn_at is None or outage.started_at < row.withdrawn_at)


def _incident_over(row: IncidentSite, pairs: Iterable[tuple[IncidentSite, Outage]]) -> Incident | None:
    """Return the incident of an outage that now covers this row."""
    return next((other.incident for other, outage in pairs if overlap_s(row, outage) > 0), None)


async def _rows_by_incident(session: AsyncSession, incident_ids: Collection[int]) -> dict[int, list[IncidentSite]]:
    rows: dict[int, list[IncidentSite]] = defaultdict(list)
    for row in await session.scalars(select(IncidentSite).where(among(IncidentSite.incident_id, incident_ids))):
        rows[row.incident_id].append(row)
    return rows
