"""What a rule would have sent of past outages: the gate and the groups, asked at the moments of the ledger. Pure."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

from app.alerts.affected_members import OutageMember
from app.alerts.gate import GateFacts, Hold, MemberTimes, RuleTimes, SubjectPhase, decide
from app.alerts.grouping import Commonality
from app.alerts.models import DropReason, HoldReason
from app.alerts.plan import REOPEN_WITHIN, Coming, GroupState, Plan, PlannedMessage, Subject, Timing
from app.alerts.planning import make_plan
from app.availability.intervals import TimeRange
from app.availability.maintenance_overlay import Outage
from app.registry.daily_hours import parse_daily_hours

STEP_S = 5  # the courier looks as often
OUTAGES_A_STEP = 500  # of more outages the moments are as much coarser: each look costs what waits in its groups
CONFIRMED_AFTER = timedelta(seconds=20)  # of a site that joins a shared incident
WAITS = frozenset({HoldReason.GROUPING, HoldReason.LEAST_DURATION})  # with every rule


@dataclass(slots=True, eq=False)
class ReplayedOutage:
    """An incident as one audience hears of it. `wanted`: the rule asks for its onset, else for its end alone."""

    name: str
    started_at: datetime
    confirmed_at: datetime
    ended_at: datetime | None
    members: Sequence[OutageMember]  # in the order of their start
    common: Commonality
    wanted: bool
    due_at: datetime | None = None  # when it is looked at next
    told: bool = False
    group: GroupState | None = None  # that told it, or in which it waits
    held_by: HoldReason | None = None

    def phase(self, now: datetime) -> SubjectPhase:
        return SubjectPhase.LASTS if self.ended_at is None or self.ended_at > now else SubjectPhase.OVER

    def sites(self, now: datetime) -> Sequence[OutageMember]:
        if self.members[-1].started_at <= now:
            return self.members
        return [member for member in self.members if member.started_at <= now] or self.members[:1]


@dataclass(frozen=True, slots=True)
class PastMessage:
    at: datetime
    message: PlannedMessage
    outages: Mapping[Subject, ReplayedOutage]


@dataclass(slots=True)
class Replay:
    """Run it once."""

    outages: Sequence[ReplayedOutage]
    rule: RuleTimes
    wants_end: bool
    maintenance: Mapping[Outage, Sequence[TimeRange]]
    timing: Timing
    messages: list[PastMessage] = field(default_factory=list)
    held: Counter[HoldReason] = field(default_factory=Counter)
    dropped: Counter[DropReason] = field(default_factory=Counter)
    _groups: list[GroupState] = field(default_factory=list)
    _waiting: dict[GroupState, dict[ReplayedOutage, None]] = field(default_factory=lambda: defaultdict(dict))
    _moments: list[tuple[datetime, int]] = field(default_factory=list)  # a heap; with an outage's number, or -1
    _numbers: dict[ReplayedOutage, int] = field(default_factory=dict)
    _onsets: list[tuple[datetime, ReplayedOutage]] = field(default_factory=list)  # by when each is first due
    _shared: dict[GroupState, set[ReplayedOutage]] = field(default_factory=lambda: defaultdict(set))

    def run(self, since: datetime, until: datetime) -> None:
        """Look whenever something is due, up to `until`; what was told before `since` only sets the scene."""
        self._begin()
        step_s = STEP_S * (1 + len(self.outages) // OUTAGES_A_STEP)
        while self._moments and self._moments[0][0] < until:
            now = _next_look(self._moments[0][0], step_s)
            ready: dict[ReplayedOutage, None] = {}
            while self._moments and self._moments[0][0] <= now:
                number = heappop(self._moments)[1]
                if number >= 0 and _is_due(outage := self.outages[number], now):
                    ready[outage] = None
            self._look(ready, now, counts=since <= now < until)

    def _begin(self) -> None:
        self._numbers = {outage: number for number, outage in enumerate(self.outages)}
        for outage in self.outages:
            if outage.wanted:
                self._onsets.append((self._first_due(outage), outage))
                ends = [] if outage.ended_at is None else [outage.ended_at + self.timing.wait]
                self._look_again(outage, min([self._first_due(outage), *ends]))
                for moment in {member.started_at for member in outage.members[1:]}:
                    heappush(self._moments, (moment + CONFIRMED_AFTER, -1))
            else:
                self._await_end(outage)
        self._onsets.sort(key=lambda onset: onset[0])

    def _first_due(self, outage: ReplayedOutage) -> datetime:
        return max(outage.confirmed_at + self.timing.wait, outage.started_at + self.rule.least)

    def _look_again(self, outage: ReplayedOutage, moment: datetime | None) -> None:
        outage.due_at = moment
        if moment is not None:
            heappush(self._moments, (moment, self._numbers[outage]))

    def _await_end(self, outage: ReplayedOutage) -> None:
        self._look_again(outage, None if outage.ended_at is None else outage.ended_at + self.timing.wait)

    def _look(self, ready: dict[ReplayedOutage, None], now: datetime, *, counts: bool) -> None:
        """Plan as the courier does, with what waits in the same groups, and follow what comes of it."""
        self._close_groups(now)
        keys = {key for outage in ready for key in outage.common.keys}
        touched = [group for group in self._groups if group.key in keys or (group.due_at and group.due_at <= now)]
        touched += [outage.group for outage in ready if outage.group is not None]
        waiting = [outage for group in dict.fromkeys(touched) for outage in self._waiting.get(group, ())]
        subjects = {self._subject(outage, now): outage for outage in dict.fromkeys([*ready, *waiting])}
        plan = make_plan(
            self._groups,
            list(subjects),
            now=now,
            timing=self.timing,
            coming=list(self._coming(now)),
            grown=self._grown(now),
        )
        self._groups += plan.new_groups
        self._follow(plan, subjects, now, counts=counts)

    def _close_groups(self, now: datetime) -> None:
        for group in self._groups:
            if group.notifications and not group.open and group.cleared_at is None and group.flapping_since is None:
                group.cleared_at = now
        self._groups = [
            group
            for group in self._groups
            if group.flapping_since is not None or group.cleared_at is None or group.cleared_at + REOPEN_WITHIN > now
        ]

    def _coming(self, now: datetime) -> Iterator[Coming]:
        first = bisect_right(self._onsets, now, key=lambda onset: onset[0])
        for due_at, outage in self._onsets[first:]:
            if due_at > now + self.timing.wait:
                return
            if outage.confirmed_at <= now:
                yield Coming(outage.common, due_at)

    def _grown(self, now: datetime) -> list[GroupState]:
        """Return open groups whose shared incidents have more sites than they told of."""
        grown = []
        for group in self._groups:
            for outage in self._shared.get(group, ()):
                if outage.name in group.open:
                    group.open[outage.name] = len(outage.sites(now))
            if group.cleared_at is None and group.notifications and sum(group.open.values()) > group.sites_told:
                grown.append(group)
        return grown

    def _subject(self, outage: ReplayedOutage, now: datetime) -> Subject:
        sites, phase = outage.sites(now), outage.phase(now)
        facts = GateFacts(
            phase,
            outage.told,
            outage.started_at,
            outage.ended_at if phase is SubjectPhase.OVER else None,
            () if outage.told else [self._times(member, now) for member in sites],
            self.rule,
            announces_onset=outage.wanted and not outage.told,
            wants_end=self.wants_end,
        )
        return Subject(
            outage.name,
            outage.common,
            decide(facts, now),
            phase,
            outage.told,
            len(sites),
            outage.confirmed_at if outage.ended_at is None or phase is SubjectPhase.LASTS else outage.ended_at,
            self._first_due(outage),
            outage.held_by,
            outage.group if outage.told else None,
            affects=frozenset(member.name_of_site for member in sites),
        )

    def _times(self, member: OutageMember, now: datetime) -> MemberTimes:
        ended_at = member.ended_at if member.ended_at is not None and member.ended_at <= now else None
        power = parse_daily_hours(member.power_hours) if self.rule.keeps_power_hours else ()
        return MemberTimes(member.started_at, ended_at, self.maintenance.get(member.outage, ()), power)

    def _follow(self, plan: Plan, subjects: Mapping[Subject, ReplayedOutage], now: datetime, *, counts: bool) -> None:
        for subject, outage in subjects.items():
            if outage.group is not None:
                self._waiting[outage.group].pop(outage, None)
            outage.group = plan.joined.get(subject, outage.group)
            if (hold := plan.held.get(subject)) is not None:
                self._hold(outage, hold, now, counts=counts)
            elif subject.phase is SubjectPhase.LASTS and subject not in plan.dropped:
                outage.told = True
                if outage.group is not None and len(outage.members) > 1:
                    self._shared[outage.group].add(outage)
                self._await_end(outage)
            else:
                outage.due_at = None
        if counts:
            self.messages += [PastMessage(now, message, subjects) for message in plan.messages]
            self.dropped.update(plan.dropped.values())
        for group in self._groups:
            self._look_at_group(group, now)

    def _hold(self, outage: ReplayedOutage, hold: Hold, now: datetime, *, counts: bool) -> None:
        until = hold.until
        if hold.reason is HoldReason.MAINTENANCE:  # nobody cancels it any more
            ends = [self._times(member, now).maintenance_until(now) for member in outage.sites(now)]
            until = max(until, min(end for end in ends if end is not None))
            until = until if outage.ended_at is None else min(until, max(hold.until, outage.ended_at))
        if counts and hold.reason not in WAITS and hold.reason is not outage.held_by:
            self.held[hold.reason] += 1
        if hold.reason not in WAITS:
            outage.held_by = hold.reason
        if hold.reason is HoldReason.GROUPING and outage.group is not None:
            self._waiting[outage.group][outage] = None
        self._look_again(outage, until)

    def _look_at_group(self, group: GroupState, now: datetime) -> None:
        """Look again when a group may tell what it has more of, or how its flapping ended."""
        moment = group.due_at
        if group.cleared_at is None and group.notifications and sum(group.open.values()) > group.sites_told:
            moment = group.next_growth(self.timing, now)
        if moment is not None and moment > now:
            heappush(self._moments, (moment, -1))


def _is_due(outage: ReplayedOutage, now: datetime) -> bool:
    return outage.due_at is not None and outage.due_at <= now


def _next_look(moment: datetime, step_s: int) -> datetime:
    """Return the moment, or the next one at which is looked."""
    seconds = -(-moment.timestamp() // step_s) * step_s
    return datetime.fromtimestamp(seconds, UTC)
