"""One cause is one message: groups, their updates, recoveries and recurrences, planned without a database."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from app.alerts.gate import Drop, Send, SubjectPhase
from app.alerts.grouping import Commonality, commonality_of, form_groups
from app.alerts.models import DropReason, HoldReason, NotificationKind
from app.alerts.plan import Coming, GroupState, PlannedMessage, Subject, Timing
from app.alerts.planning import make_plan

START = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)
TIMING = Timing()
KUTAI, BERAU = "64.02.05.2003", "64.03.01.2001"
TELKOM, ICON = 1, 2


@dataclass
class Office:
    """A channel whose outages a test begins and ends; `told` has what it was sent, and when (in seconds)."""

    groups: list[GroupState] = field(default_factory=list)
    waiting: dict[str, tuple[Subject, int]] = field(default_factory=dict)  # and when it is looked at
    known: dict[str, GroupState] = field(default_factory=dict)
    outages: Counter[str] = field(default_factory=Counter)  # of each site
    told: list[tuple[int, PlannedMessage]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def begins(
        self, site: str, second: int, common: Commonality | None = None, sites: int = 1, *, held: bool = False
    ) -> None:
        """Each time it is another incident of the site: `a`, `a 2`, `a 3`."""
        common = common or commonality_of([(TELKOM, KUTAI)])
        self.outages[site] += 1
        self._add(site, common, SubjectPhase.LASTS, second, sites, HoldReason.QUIET_HOURS if held else None)

    def ends(self, site: str, second: int) -> None:
        common = commonality_of([(TELKOM, KUTAI)])
        if (waiting := self.waiting.get(self.name(site))) is not None:
            common = waiting[0].common
        self._add(site, common, SubjectPhase.OVER, second, 1, None)

    def name(self, site: str) -> str:
        return site if self.outages[site] == 1 else f"{site} {self.outages[site]}"

    def _add(
        self, site: str, common: Commonality, phase: SubjectPhase, second: int, sites: int, held: HoldReason | None
    ) -> None:
        at, name = START + timedelta(seconds=second), self.name(site)
        subject = Subject(name, common, Send(), phase, name in self.known, sites, at, at + TIMING.wait, held)
        if phase is SubjectPhase.OVER and not subject.is_told and name not in self.waiting:
            subject.verdict = Drop(DropReason.NOT_TOLD)
        subject.group = self.known.get(name)
        subject.affects = frozenset({site})
        due = second + 30
        self.waiting[name] = (subject, due)

    def run(self, until: int) -> None:
        while due := [second for _, second in self.waiting.values()] + self._calm():
            second = max(0, min(due))
            if second > until:
                return
            self._flush(second)

    def _calm(self) -> list[int]:
        return [int((group.due_at - START).total_seconds()) for group in self.groups if group.due_at is not None]

    def _flush(self, second: int) -> None:
        now = START + timedelta(seconds=second)
        ready = [
            subject for subject, due in self.waiting.values() if due <= second or subject.held_by is HoldReason.GROUPING
        ]
        coming = [
            Coming(subject.common, START + timedelta(seconds=due))
            for subject, due in self.waiting.values()
            if subject not in ready and subject.phase is SubjectPhase.LASTS
        ]
        self.groups = [
            g
            for g in self.groups
            if g.cleared_at is None or g.flapping_since or now < g.cleared_at + timedelta(minutes=30)
        ]
        plan = make_plan(self.groups, ready, now=now, timing=TIMING, coming=coming)
        self.groups += plan.new_groups
        for message in plan.messages:
            self.told.append((second, message))
        for subject in ready:
            message_of = [message for message in plan.messages if subject in message.subjects]
            homes = [len(message_of), subject in plan.held, subject in plan.dropped, subject in plan.told_already]
            assert sum(map(int, homes)) == 1, "nothing is lost, nothing is told twice"
            if subject in plan.held:
                until = plan.held[subject].until
                assert until > now
                subject.group = plan.joined.get(subject, subject.group)
                subject.held_by = HoldReason.GROUPING if subject in plan.joined else None
                self.waiting[subject.name] = (subject, int((until - START).total_seconds()))
                continue
            del self.waiting[subject.name]
            self.outcomes[subject.name] += 1
            if subject.phase is SubjectPhase.LASTS and subject not in plan.dropped:
                self.known[subject.name] = plan.joined[subject]
            elif subject.phase is SubjectPhase.OVER:
                self.known.pop(subject.name, None)

    def kinds(self) -> list[tuple[int, str]]:
        return [(second, message.kind.value) for second, message in self.told]


def test_a_lone_outage_is_one_onset_and_one_recovery() -> None:
    office = Office()
    office.begins("a", 0)
    office.run(100)
    office.ends("a", 600)
    office.run(10_000)
    assert office.kinds() == [(30, "onset"), (630, "recovery")]


def test_sites_that_follow_are_one_update_at_the_interval_and_all_recoveries_are_one() -> None:
    office = Office()
    office.begins("a", 0)
    office.run(30)
    for index in range(5):
        office.begins(f"later{index}", 60 + index)
        office.run(60 + index)
    office.run(1000)
    for index, name in enumerate(["a", *(f"later{index}" for index in range(5))]):
        office.ends(name, 1000 + index)
        office.run(1000 + index)
    office.run(10_000)
    assert office.kinds() == [(30, "onset"), (330, "update"), (1035, "recovery")]
    assert [len(message.subjects) for _, message in office.told] == [1, 5, 6]


def test_whatever_joins_what_lasts_is_told_within_five_minutes_and_no_oftener() -> None:
    office = Office()
    for minute in range(0, 200, 2):
        office.begins(f"site{minute}", minute * 60)
        office.run(minute * 60)
    office.run(15_000)
    pauses = [later - earlier for (earlier, _), (later, _) in zip(office.told, office.told[1:], strict=False)]
    assert set(pauses) == {300}


def test_more_sites_of_what_was_told_are_told_ever_more_rarely() -> None:
    group, told = GroupState("provider:1", START), list[int]()
    tower = Subject("tower", commonality_of([(TELKOM, KUTAI)]), Send(), SubjectPhase.LASTS, False, 5, START, START)
    make_plan([group], [replace(tower, group=group)], now=START, timing=TIMING)
    for second in range(0, 15_000, 30):
        group.open["tower"] += 1
        if make_plan([group], [], now=START + timedelta(seconds=second), timing=TIMING, grown=[group]).messages:
            told.append(second)
    pauses = [later - earlier for earlier, later in zip([0, *told], told, strict=False)]
    assert pauses[:5] == [300, 600, 1200, 2400, 3600]


def test_another_outage_after_a_recovery_is_told_at_once_in_a_group_of_its_own() -> None:
    office = Office()
    office.begins("a", 0)
    office.run(100)
    office.ends("a", 200)
    office.run(230)
    office.begins("b", 240)
    office.run(10_000)
    assert office.kinds() == [(30, "onset"), (230, "recovery"), (270, "onset")]
    assert [message.recurred for _, message in office.told] == [False] * 3


def test_a_channel_that_hears_of_short_outages_all_the_time_is_told_of_many_at_once() -> None:
    office = Office()
    for minute in range(120):
        site = f"site{minute}"
        office.begins(site, minute * 60)
        office.run(minute * 60 + 40)
        office.ends(site, minute * 60 + 45)
        office.run(minute * 60 + 59)
    office.run(100_000)
    assert len(office.told) <= 120 / 15 * (3 * 2 + 15 / 5), "three groups of their own in a quarter of an hour"
    assert set(office.outcomes.values()) <= {1, 2}
    heard = {site for _, message in office.told for each in message.subjects for site in each.affects}
    assert heard == set(office.outages)


def test_a_recovery_waits_for_the_rest_of_its_group_for_an_hour_at_most() -> None:
    office = Office()
    office.begins("a", 0)
    office.begins("b", 0)
    office.run(100)
    office.ends("a", 600)
    office.run(10_000)
    ((_, onset), (second, partly)) = office.told
    assert (second, partly.kind, partly.still) == (600 + 3600, NotificationKind.RECOVERY, ["b"])
    assert len(onset.down) == 2


def test_a_recurrence_reopens_the_group_and_the_third_is_told_as_flapping_until_it_is_calm() -> None:
    office = Office()
    for round_ in range(6):
        office.begins("a", round_ * 600)
        office.run(round_ * 600 + 300)
        office.ends("a", round_ * 600 + 400)
        office.run(round_ * 600 + 599)
    office.run(100_000)
    kinds = [(message.kind.value, message.recurred, message.flapping) for _, message in office.told]
    assert kinds[0] == ("onset", False, False)
    assert kinds[-2:] == [("flapping", True, True), ("flapping", False, False)]
    assert sum(kind == "update" for kind, _, _ in kinds) == 2
    last_change = 5 * 600 + 400
    assert office.told[-1][0] == last_change + 1800, "when nothing had changed for half an hour"
    assert office.told[-1][1].recovered, "and how it ended"


def test_what_flaps_on_is_told_each_hour_and_no_other_outage_of_its_provider_waits_for_it() -> None:
    office = Office()
    for round_ in range(36):
        office.begins("a", round_ * 600)
        office.run(round_ * 600 + 300)
        office.ends("a", round_ * 600 + 400)
        if round_ == 12:
            office.begins("other", round_ * 600 + 400)
            office.begins("both", round_ * 600 + 400)
        office.run(round_ * 600 + 599)
    heard = [(second, message) for second, message in office.told if "other" in {each.name for each in message.down}]
    assert [(second, message.kind) for second, message in heard] == [(12 * 600 + 430, NotificationKind.ONSET)]
    assert {each.name for each in heard[0][1].down} == {"other", "both"}, "in a group of their own"
    assert all("a" not in message.still for _, message in heard)
    assert len(office.told) <= 3 * 6, "36 outages in six hours"


def test_what_was_held_comes_as_one_message_and_its_recovery_is_told_later() -> None:
    office = Office()
    for index in range(200):
        office.begins(f"site{index}", 0, commonality_of([(index % 7, f"64.0{index % 9 + 1}.01.2001")]), held=True)
    office.run(30)
    assert office.kinds() == [(30, "held")]
    for index in range(200):
        office.ends(f"site{index}", 600)
    office.run(10_000)
    assert len(office.told) <= 1 + 3, "at most a recovery for each group"
    assert set(office.outcomes.values()) == {2}


def test_groups_form_by_node_then_by_provider_and_district_then_by_provider_then_by_office() -> None:
    site = commonality_of([(TELKOM, KUTAI)], parent=9)
    tower = commonality_of([(TELKOM, KUTAI)], node=9)
    berau, icon = commonality_of([(TELKOM, BERAU)]), commonality_of([(ICON, BERAU)])
    assert form_groups({"site": site}) == {"provider:1:64.02": ["site"]}
    assert form_groups({"site": site, "tower": tower}) == {"node:9": ["site", "tower"]}
    assert form_groups({"site": site, "berau": berau, "icon": icon}) == {
        "provider:1": ["site", "berau"],
        "provider:2:64.03": ["icon"],
    }
    assert form_groups({"berau": berau}, recent=["provider:1:64.02"]) == {"provider:1": ["berau"]}
    many = {str(provider): commonality_of([(provider, BERAU)]) for provider in range(4)}
    assert form_groups(many) == {"district:64.03": list(many)}
    assert list(form_groups(many | {"else": commonality_of([(5, KUTAI)])})) == ["office"]
    mixed = commonality_of([(TELKOM, KUTAI), (ICON, BERAU)])
    assert form_groups({"mixed": mixed, "slow": Commonality(condition="degraded")}) == {
        "office": ["mixed"],
        "degraded": ["slow"],
    }


villages = st.builds("64.{:02}.{:02}.2001".format, st.integers(1, 11), st.integers(1, 20))


@given(st.lists(st.tuples(villages, st.integers(0, 30)), min_size=1, max_size=60), st.booleans())
@settings(deadline=None)
def test_any_storm_through_one_provider_is_at_most_three_messages_of_an_office(
    sites: list[tuple[str, int]], by_district: bool
) -> None:
    """All sites of one provider go down within half a minute, and come back together."""
    for district in {village[:5] for village, _ in sites} if by_district else {"64"}:
        office = Office()
        of_office = [
            (index, village, second) for index, (village, second) in enumerate(sites) if village.startswith(district)
        ]
        for index, village, second in sorted(of_office, key=lambda each: each[2]):
            office.begins(str(index), second, commonality_of([(TELKOM, village)]))
        office.run(800)
        for index, _, _ in of_office:
            office.ends(str(index), 800)
        office.run(100_000)
        assert len(office.told) <= 3
        assert Counter(office.outcomes.values()) == {2: len(of_office)}


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4000), st.sampled_from([0, 1, 2])), min_size=1, max_size=40)
)
@settings(deadline=None)
def test_whatever_begins_and_ends_nothing_is_lost_and_nobody_hears_an_onset_twice(
    changes: list[tuple[int, int, int]],
) -> None:
    office, lasting = Office(), set[int]()
    for site, second, provider in sorted(changes, key=lambda change: change[1]):
        office.run(second - 1)
        if site in lasting:
            office.ends(str(site), second)
        else:
            office.begins(str(site), second, commonality_of([(provider, KUTAI)]))
        lasting ^= {site}
    office.run(200_000)
    assert not office.waiting
    assert office.known.keys() == {office.name(str(site)) for site in lasting}, (
        "what a channel believes is what is true"
    )
    told = (message for _, message in office.told if message.kind is NotificationKind.ONSET)
    onsets = Counter((message.group, subject.name) for message in told for subject in message.down)
    assert set(onsets.values()) <= {1}
