"""What is told now, later or never: by the rule, the site's hours, maintenance and our own sight."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts.gate import Drop, GateFacts, Hold, MemberTimes, RuleTimes, Send, SubjectPhase, decide
from app.alerts.models import DropReason, HoldReason
from app.core.clock import WITA, from_slot
from app.core.daily_window import DailyWindow
from app.registry.daily_hours import parse_daily_hours

NIGHT = DailyWindow(22 * 60, 6 * 60)
EVENING = datetime(2026, 11, 28, 23, 0, tzinfo=WITA)
NOON = datetime(2026, 11, 28, 12, 0, tzinfo=WITA)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def outage(now: datetime, *members: MemberTimes, minutes: int = 5, **changes: object) -> GateFacts:
    facts: dict[str, object] = {
        "phase": SubjectPhase.LASTS,
        "is_told": False,
        "started_at": now - minutes * MINUTE,
        "members": members or (MemberTimes(now - minutes * MINUTE, None),),
    }
    return GateFacts(**(facts | changes))  # type: ignore[arg-type]


def over(now: datetime, **changes: object) -> GateFacts:
    return outage(now, **({"phase": SubjectPhase.OVER, "ended_at": now} | changes))  # type: ignore[arg-type]


def test_quiet_hours_hold_what_begins_and_what_ends_until_their_end() -> None:
    morning = Hold(datetime(2026, 11, 29, 6, 0, tzinfo=WITA), HoldReason.QUIET_HOURS)
    quiet = RuleTimes(quiet=NIGHT)
    assert decide(outage(EVENING, rule=quiet), EVENING) == morning
    assert decide(over(EVENING, rule=quiet, is_told=True), EVENING) == morning
    assert decide(outage(NOON, rule=quiet), NOON) == Send()
    assert decide(over(EVENING, is_told=True), EVENING) == Send(), "its rule was deleted"
    muted = RuleTimes(quiet=NIGHT, muted_until=EVENING + HOUR)
    assert decide(outage(EVENING, rule=muted), EVENING) == Hold(EVENING + HOUR, HoldReason.MUTED)


def test_an_outage_that_ended_too_soon_is_dropped_and_one_that_lasted_long_enough_came_and_went() -> None:
    rule = RuleTimes(least=5 * MINUTE)
    assert decide(over(NOON, minutes=4, rule=rule), NOON) == Drop(DropReason.TOO_SHORT)
    assert decide(over(NOON, minutes=5, rule=rule), NOON) == Send()
    assert decide(over(NOON, phase=SubjectPhase.WITHDRAWN), NOON) == Drop(DropReason.WITHDRAWN)
    assert decide(over(NOON, phase=SubjectPhase.MERGED), NOON) == Drop(DropReason.MERGED)
    assert decide(over(NOON, phase=SubjectPhase.WITHDRAWN, is_told=True), NOON) == Send(), (
        "whoever heard of it hears that"
    )


def test_the_end_of_what_was_not_announced_is_told_to_those_alone_who_ask_for_it() -> None:
    assert decide(over(NOON, announces_onset=False), NOON) == Drop(DropReason.NOT_TOLD)
    assert decide(over(NOON, announces_onset=False, wants_end=True), NOON) == Send(only_end=True)


def test_maintenance_holds_drops_what_ended_within_it_and_tells_of_what_outlasts_it() -> None:
    window = (NOON - HOUR, NOON + HOUR)
    member = MemberTimes(NOON - 5 * MINUTE, None, maintenance=[window])
    assert decide(outage(NOON, member), NOON) == Hold(NOON + MINUTE, HoldReason.MAINTENANCE), "it may be cancelled"
    ended = MemberTimes(NOON - 5 * MINUTE, NOON, maintenance=[window])
    assert decide(over(NOON, members=(ended,)), NOON) == Drop(DropReason.IN_MAINTENANCE)
    later = NOON + 2 * HOUR
    assert decide(outage(later, member, started_at=member.started_at), later) == Send(maintenance_overrun=True)
    beside = MemberTimes(NOON - 5 * MINUTE, None)
    assert decide(outage(NOON, member, beside), NOON) == Send(), "one of its sites is not under maintenance"


def test_while_we_are_blind_nothing_is_told_of_sites() -> None:
    held = decide(outage(NOON), NOON, is_blind=True)
    assert isinstance(held, Hold)
    assert held.reason is HoldReason.BLIND
    assert decide(outage(NOON, of_sites=False), NOON, is_blind=True) == Send()
    assert decide(outage(NOON), NOON, is_blind=True, channel_deleted=True) == Drop(DropReason.CHANNEL_DELETED)


def test_a_site_without_power_at_this_hour_waits_until_it_could_answer() -> None:
    powered = parse_daily_hours("18.00-06.00")
    member = MemberTimes(NOON - 5 * MINUTE, None, power=powered)
    rule = RuleTimes(keeps_power_hours=True)
    evening = NOON.replace(hour=18, minute=10)
    assert decide(outage(NOON, member, rule=rule), NOON) == Hold(evening, HoldReason.POWER_HOURS)
    assert decide(outage(NOON, member), NOON) == Send(), "the rule does not ask for it"
    assert decide(outage(evening, member, rule=rule), evening) == Send()
    night = MemberTimes(NOON.replace(hour=3), None, power=powered)
    assert decide(outage(NOON, night, rule=rule), NOON) == Send(), "it was down while it had power"
    ended = MemberTimes(member.started_at, evening - MINUTE, power=powered)
    facts = over(evening, members=(ended,), started_at=ended.started_at, ended_at=ended.ended_at, rule=rule)
    assert decide(facts, evening) == Drop(DropReason.OUTSIDE_POWER_HOURS)


def test_escalations_and_reminders_end_with_the_outage_or_with_an_acknowledgement() -> None:
    told = {"is_told": True, "goes_on": True}
    assert decide(outage(NOON, **told), NOON) == Send()
    assert decide(outage(NOON, **told, is_acknowledged=True), NOON) == Drop(DropReason.ACKNOWLEDGED)
    assert decide(over(NOON, **told), NOON) == Drop(DropReason.ACKNOWLEDGED)
    assert decide(outage(NOON, goes_on=True), NOON) == Send(), "an escalation is the first that they hear"
    assert decide(outage(NOON, goes_on=True, announces_onset=False), NOON) == Drop(DropReason.NOT_TOLD)


def test_an_end_that_did_not_last_is_not_told() -> None:
    assert decide(outage(NOON, is_told=True), NOON) == Drop(DropReason.FLAPPING)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("18.00-06.00", [(1080, 360)]),
        ("06:00 - 12:00 dan 18-22 WITA", [(360, 720), (1080, 1320)]),
        ("Pukul 17.30 s/d 23.30", [(1050, 1410)]),
        ("00.00-24.00", []),
        ("24 jam", []),
        ("malam saja", []),
        ("18.00-06.00 kecuali Minggu", []),
        ("25.00-26.00", []),
        ("12.00-12.10", []),
        (None, []),
    ],
)
def test_hours_with_power_are_read_as_people_write_them_and_else_are_all_day(
    text: str | None, windows: list[tuple[int, int]]
) -> None:
    assert [(window.start, window.end) for window in parse_daily_hours(text)] == windows


moments = st.integers(1_767_225_600, 1_798_761_600).map(from_slot)
hours = st.builds(DailyWindow, st.integers(0, 1439), st.integers(0, 1439))
spans = st.timedeltas(timedelta(), timedelta(days=3))


@given(now=moments, window=hours)
def test_a_window_of_the_day_begins_and_ends_within_a_day(now: datetime, window: DailyWindow) -> None:
    start = window.next_start(now)
    end = window.end_after(start)
    assert now <= start < now + timedelta(days=1)
    assert end is not None
    assert start < end <= start + timedelta(days=1)
    assert window.end_after(now) in ({end} if start == now else {None})


@given(st.data())
def test_every_hold_ends(data: st.DataObject) -> None:
    """Asked again whenever a hold ends, the gate sends or drops in the end, and never holds into the past."""
    now = data.draw(moments)
    started_at = now - data.draw(spans)
    long_enough = hours.filter(lambda window: (window.end - window.start) % 1440 >= 60)
    maintenance = [(started_at - data.draw(spans), started_at + data.draw(spans))]
    members = [
        MemberTimes(
            started_at,
            None,
            data.draw(st.sampled_from([(), maintenance])),
            data.draw(st.lists(long_enough, max_size=2)),
        )
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    rule = RuleTimes(
        data.draw(spans),
        data.draw(st.none() | hours.filter(lambda window: window.start != window.end)),
        data.draw(st.none() | st.just(now + data.draw(spans))),
        data.draw(st.booleans()),
    )
    ends = data.draw(st.none() | spans)
    for _ in range(20_000):
        is_over = ends is not None and now >= started_at + ends
        phase, ended_at = (
            (SubjectPhase.OVER, started_at + ends) if is_over and ends is not None else (SubjectPhase.LASTS, None)
        )
        facts = GateFacts(phase, False, started_at, ended_at, members, rule)
        verdict = decide(facts, now)
        if not isinstance(verdict, Hold):
            return
        assert verdict.until > now
        now = verdict.until
    raise AssertionError("held for good")
