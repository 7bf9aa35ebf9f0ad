"""Incidents follow the ledger, however often it is rewritten: identity and all that people did to them stay."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents import affected_sites, groups, outage_causes, reboots
from app.incidents.affected_sites import View
from app.incidents.correlation import clusters
from app.incidents.derive_status import settle
from app.incidents.groups import Group
from app.incidents.models import Happening, Incident, IncidentEvent, IncidentSite, Kind, Status
from app.incidents.outages import Outage, overlap_s, pair
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Counter, lock_counter, next_version
from app.registry.models import State

PARENTS_WORD = timedelta(seconds=60)  # so long after its confirmation an outage waits for it


async def follow(session: AsyncSession, spans: Sequence[DirtyRange], *, now: datetime) -> None:
    """Makes incidents what the ledger says after the spans were written anew, in the ledger's own transaction.

    Following again changes nothing. Where neither an outage nor an incident is near it is one statement.
    """
    touched = await affected_sites.touched(session, spans, now=now) if spans else {}
    if touched:
        await lock_counter(session, Counter.INCIDENT)
        work = Work(session, now)
        for view in await affected_sites.views(session, touched, now=now):
            work.reconcile(view)
        await work.finish()


@dataclass(slots=True)
class Work:
    session: AsyncSession
    now: datetime
    moved: list[IncidentSite] = field(default_factory=list)  # with bounds that are new
    starting: list[IncidentSite] = field(default_factory=list)  # of those, with a start that is
    fresh: list[IncidentSite] = field(default_factory=list)  # of no incident yet
    merged: list[tuple[Incident, Incident]] = field(default_factory=list)
    changed: dict[int, Incident] = field(default_factory=dict)  # by identity

    def reconcile(self, view: View) -> None:
        pairs = pair(view.known, view.outages)
        same = {id(row) for row, _ in pairs}
        kept = {outage for _, outage in pairs}
        for row, outage in pairs:
            self._move(row, outage)
        for row in view.known:
            if id(row) not in same:
                self._withdraw(row, into=_swallowed_by(row, pairs))
        self._open(
            view, [outage for outage in view.outages if outage not in kept and not waits(view, outage, self.now)]
        )

    def _move(self, row: IncidentSite, outage: Outage) -> None:
        bounds = asdict(outage)
        if any(getattr(row, name) != value for name, value in bounds.items()):
            if row.started_at != outage.started_at:
                self.starting.append(row)
            for name, value in bounds.items():
                setattr(row, name, value)
            self.moved.append(row)
            self._touch(row.incident)

    def _withdraw(self, row: IncidentSite, *, into: Incident | None) -> None:
        row.withdrawn_at = self.now
        self._touch(row.incident)
        if row.incident.kind is Kind.SHARED:
            self._tell(row, Happening.LEFT)
        if into is not None and into is not row.incident:
            self.merged.append((row.incident, into))

    def _open(self, view: View, found: Iterable[Outage]) -> None:
        """What was withdrawn and is back is the same as before; what a shared incident took over stays with that. What
        began after it was withdrawn is another."""
        shared = {row.incident_id for row in (*view.known, *view.withdrawn) if row.incident.kind is Kind.SHARED}
        withdrawn = [row for row in view.withdrawn if row.incident.merged_into not in shared]
        for outage in found:
            near = [row for row in withdrawn if overlap_s(row, outage) > 0 and _began_before(outage, row.withdrawn_at)]
            if not near:
                self.fresh.append(IncidentSite(site_id=view.site_id, **asdict(outage)))
                continue
            row = max(near, key=lambda row: (overlap_s(row, outage), row.id))
            withdrawn.remove(row)
            row.withdrawn_at = None
            if row.incident.kind is Kind.SHARED:
                self._tell(row, Happening.JOINED)
            self._touch(row.incident)
            self.starting.append(row)
            self._move(row, outage)

    async def finish(self) -> None:
        starting = [*self.fresh, *self.starting]
        if starting:
            for group in await groups.load(self.session, starting):
                self._share(group, {id(row) for row in starting})
        for row in self.fresh:
            if row.incident is None:
                row.incident = self._incident(row, Kind.SINGLE)
        if not self.changed:
            return
        self.session.add_all(self.fresh)
        await self._settle(await next_version(self.session, Counter.INCIDENT))
        await self._set_causes()

    def _share(self, group: Group, starting: set[int]) -> None:
        """One incident for each cluster that something new belongs to; those of another cause stay where they are."""

        def belongs(row: IncidentSite) -> bool:
            return groups.key_of(row.incident) == group.key

        free = [
            row
            for row in group.outages
            if row.withdrawn_at is None and (groups.key_of(row.incident) is None or belongs(row))
        ]
        for cluster in clusters(free, group.size, belongs=belongs):
            joining = [row for row in cluster if not belongs(row)]
            if not joining or starting.isdisjoint(map(id, cluster)):
                continue
            known = [row.incident for row in cluster if belongs(row)]
            into = min(known, key=lambda one: one.id or 0) if known else self._incident(cluster[0], Kind.SHARED, group)
            for row in joining:
                self._join(row, into)

    def _join(self, row: IncidentSite, into: Incident) -> None:
        """Its own incident, if it had one, goes on living under its id as part of the shared one."""
        self._touch(into)
        if row.incident is None:
            row.incident = into
        else:
            bounds = {name: getattr(row, name) for name in Outage.__slots__}
            self._withdraw(row, into=into)
            row = IncidentSite(site_id=row.site_id, incident=into, **bounds)
            self.fresh.append(row)
        self._tell(row, Happening.JOINED)

    def _incident(self, row: IncidentSite, kind: Kind, group: Group | None = None) -> Incident:
        key = group.key if group else None
        made = Incident(
            kind=kind,
            status=Status.OPEN,
            opened_at=self.now,
            started_at=row.started_at,
            version=0,
            shared_parent_id=key and key.parent_id,
            shared_provider_id=key and key.provider_id,
            shared_district=key and key.district,
        )
        self._touch(made)
        return made

    def _touch(self, incident: Incident) -> None:
        self.changed[id(incident)] = incident

    def _tell(self, row: IncidentSite, kind: Happening) -> None:
        self.session.add(IncidentEvent(incident=row.incident, site_id=row.site_id, at=self.now, kind=kind))

    async def _settle(self, version: int) -> None:
        self.session.add_all([*self.changed.values(), *self.fresh])
        await self.session.flush()
        into = {id(one): other.id for one, other in self.merged}
        sites: dict[int, list[IncidentSite]] = defaultdict(list)
        for row in await self.session.scalars(
            select(IncidentSite).where(IncidentSite.incident_id.in_([one.id for one in self.changed.values()]))
        ):
            sites[row.incident_id].append(row)
        single = [one.id for one in self.changed.values() if one.kind is Kind.SINGLE]
        back = await reboots.returns(self.session, [row for incident_id in single for row in sites[incident_id]])
        for incident in self.changed.values():
            event = settle(incident, sites[incident.id], into=into.get(id(incident)), back=back, now=self.now)
            if event is not None:
                self.session.add(event)
            incident.version = version
        await self.session.flush()

    async def _set_causes(self) -> None:
        """A confirmed cause goes with its outage: as far as the outage reaches now, and for who joined it."""
        for row in (*self.moved, *self.fresh):
            incident = row.incident
            if row.withdrawn_at is None and incident.cause is not None:
                await outage_causes.set_cause(
                    self.session,
                    [row.site_id],
                    row.started_at,
                    row.ended_at,
                    incident.cause,
                    incident.cause_confirmed_by or "",
                )


def waits(view: View, outage: Outage, now: datetime) -> bool:
    """Whether the parent's word is still out: it may be the parent that is down, and then this is no incident."""
    parent, confirmed_at = view.parent, outage.confirmed_at or outage.started_at
    if parent is None or now >= confirmed_at + PARENTS_WORD:
        return False
    unseen = parent.seen_at is None or parent.seen_at < outage.started_at
    return unseen or parent.pending_at is not None or parent.state in {State.DOWN, State.UNREACHABLE}


def _began_before(outage: Outage, moment: datetime | None) -> bool:
    return moment is None or outage.started_at < moment


def _swallowed_by(row: IncidentSite, pairs: Iterable[tuple[IncidentSite, Outage]]) -> Incident | None:
    return next((other.incident for other, outage in pairs if overlap_s(row, outage) > 0), None)
