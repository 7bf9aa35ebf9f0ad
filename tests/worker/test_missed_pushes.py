"""Which pushes count as missed: decided without a clock or a database."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.silence_rule import longest_pause
from app.core.clock import to_slot
from app.settings import Settings
from app.worker.ingest_heartbeat import open_heartbeat
from app.worker.ingest_proof import IngestProof
from app.worker.missed_pushes import OverdueSite, missed_by
from app.worker.peer_quorum import PeerQuorum

T = datetime(2026, 11, 25, 4, tzinfo=UTC)


def at(second: float) -> datetime:
    return T + timedelta(seconds=second)


Seconds = Iterable[float]
ALWAYS = range(-900, 3_600, 60)


def due(
    now: float,
    *,
    every: int = 60,
    proven: tuple[float, float] | None = None,
    others: Sequence[Seconds] = (ALWAYS, ALWAYS),
    agent: str | None = None,
) -> list[int]:
    """Return the seconds of the pushes that a site missed which was last heard from at 0.

    `proven`: from when to when ingest is, by default all along. `others`: when other sites were heard from.
    """
    since, last = proven or (-1000, now)
    peers = PeerQuorum()
    for second, site_id in sorted((second, 2 + n) for n, seconds in enumerate(others) for second in seconds):
        if second <= now:
            peers.record(site_id, at(second))
    site = OverdueSite(1, T, every, T, longest_pause(agent))
    missed = list(missed_by(site, IngestProof(at(last), at(since)), peers, at(now)))
    assert all(len({*push.peers} - {1}) == 2 for push in missed)
    return [to_slot(push.due) - to_slot(T) for push in missed]


def test_a_push_is_missed_only_when_it_is_late_by_more_than_a_devices_own_pace() -> None:
    assert due(83) == []
    assert due(84) == [60]
    assert due(143) == [60]
    assert due(144) == [60, 120], "before the evidence of 0 ceases to hold at 150"
    assert due(419, every=300) == []
    assert due(720, every=300) == [300, 600]


def test_no_push_is_missed_unless_ingest_is_proven_alive_from_its_due_time_until_now() -> None:
    assert due(90, proven=(-1000, 44)) == []
    assert due(90, proven=(-1000, 45)) == [60]
    assert due(90, proven=(61, 90)) == []


def test_after_a_gap_in_the_proof_a_site_may_pause_as_long_as_we_ask_for_at_most() -> None:
    """Its push may have failed meanwhile, and it tries again after its pause, or in its turn."""
    assert due(1233, proven=(1000, 1233)) == []
    assert due(1234, proven=(1000, 1234)) == [1210]
    assert due(1419, every=300, proven=(1000, 1419)) == []
    assert due(1420, every=300, proven=(1000, 1420)) == [1300]
    assert due(420, every=300, proven=(50, 420)) == [300], "its turn is after that pause"
    assert due(84, proven=(-5, 84)) == [60], "heard from since: it does not pause"


def test_scripts_that_double_their_pauses_are_given_longer() -> None:
    assert due(1563, agent="openwrt/1", proven=(1000, 1563)) == []
    assert due(1564, agent="openwrt/1", proven=(1000, 1564)) == [1540]
    assert due(1234, agent="openwrt/2", proven=(1000, 1234)) == due(1234, agent="mine/1", proven=(1000, 1234)) == [1210]


def test_a_beat_of_ours_that_was_refused_lets_devices_pause_though_the_proof_goes_on() -> None:
    """Of all that were refused in 40 to 70, the last may be heard from again 210 s later."""
    peers, site = PeerQuorum(), OverdueSite(1, T, 60, T)
    for second in range(-600, 900, 10):
        peers.record(2 + second // 10 % 7, at(second))
    for second in (*range(-50, 41, 15), *range(70, 900, 15)):
        peers.record_own_beat(at(second))

    def missed(heard: float) -> list[int]:
        found = missed_by(replace(site, heard_at=at(heard)), IngestProof(at(600), at(-1000)), peers, at(600))
        return [to_slot(push.due) - to_slot(T) for push in found]

    assert missed(0) == [300, 360, 420, 480, 540]
    assert missed(80)[0] == 140, "heard from since"


def test_while_no_beat_of_ours_has_arrived_for_too_long_silence_is_not_counted_yet() -> None:
    """A new worker goes on from the beat of the one before, which died while the database was away."""
    peers, site, proof = PeerQuorum(), OverdueSite(1, T, 10, T), IngestProof(at(-5), at(-1000))
    for second in range(-60, 40, 5):
        peers.record(2 + second // 5 % 3, at(second))
    peers.record_own_beat(at(-5))
    assert [push.due for push in missed_by(site, proof, peers, at(38))] == [at(10)], "one makes no outage"
    peers.record_own_beat(at(37))
    assert list(missed_by(site, IngestProof(at(37), at(-1000)), peers, at(38))) == []


@settings(max_examples=40, deadline=None)
@given(
    phases=st.lists(st.floats(0, 60), min_size=3, max_size=12),
    pauses=st.lists(st.floats(0, 150), min_size=12, max_size=12),
    away=st.tuples(st.floats(0, 300), st.floats(0, 900)),
)
def test_a_fleet_that_pauses_after_our_stop_is_not_down(
    phases: list[float], pauses: list[float], away: tuple[float, float]
) -> None:
    """Each pushes each minute, and after a refusal looks each minute whether its pause is over; ours are each 15 s."""
    start, end = away[0], sum(away)
    heard = {site: _pushes(phase, pauses[site], start, end) for site, phase in enumerate(phases)}
    peers, proof = PeerQuorum(), IngestProof(at(-1000))
    for second in range(-1000, int(end) + 600, 15):
        if start <= second <= end:
            continue
        if second - 15 <= end < second:
            peers.record_api_start(at(end))
        proof, _ = proof.extend(at(second), started_at=at(-2000))
        peers.record_own_beat(at(second))
        for site, seconds in heard.items():
            for one in seconds:
                if second - 15 < one <= second:
                    peers.record(site, at(one))
        for site, seconds in heard.items() if second > end else ():
            last = max((one for one in seconds if one <= second), default=None)
            if last is not None:
                silent = OverdueSite(site, T, 60, at(last))
                assert len(list(missed_by(silent, proof, peers, at(second)))) < 2, (site, second)


def _pushes(phase: float, pause: float, start: float, end: float) -> list[float]:
    """Return when a device is heard from: `pause` is what it takes after each refusal."""
    heard, free_at = list[float](), -1000.0
    for turn in range(-16, 40):
        second = phase + 60 * turn
        if second < free_at:
            continue
        if start <= second <= end:
            free_at = second + pause
        else:
            heard.append(second)
    return heard


def test_two_peers_must_have_been_heard_from_in_the_interval_that_ended_at_the_due_time() -> None:
    assert due(90, others=()) == []
    assert due(90, others=([50],)) == []
    assert due(90, others=([50], [-1])) == []
    assert due(90, others=([40, 50],)) == []
    assert due(90, others=([50], [0])) == [60]


def test_a_peer_that_keeps_its_pace_across_the_due_time_counts() -> None:
    """Devices whose clocks start them all at the full minute are never quite in the same order."""
    assert due(144, others=([-1, 61, 121], [-0.5, 60.2, 120.1])) == [60, 120]


def test_when_all_fall_silent_at_once_none_is_down() -> None:
    """Perhaps it is our own way to the outside, which our own beat does not take: one silence, never two."""
    assert due(1000, others=([50], [59])) == [60]


@pytest.mark.parametrize("over_s", range(61, 600, 7))
def test_nor_when_the_peers_are_back_before_it(over_s: int) -> None:
    """All were out of reach from 1 to `over_s`, and each pushed again when its own push was due: none can have missed
    two pushes in a row that others did not miss."""
    fleet = [[start + phase for start in ALWAYS if not 1 <= start + phase <= over_s] for phase in range(0, 60, 3)]
    last_missed = over_s // 60 * 60
    assert len([second for second in due(last_missed + 60, others=fleet) if second <= over_s]) <= 1


def test_while_our_own_uplink_is_out_no_push_is_missed_nor_before_a_canary_shows_that_it_is_not() -> None:
    """Slower devices may have been heard from before and after: they keep their pace, and were cut off as well."""
    peers, site = PeerQuorum(), OverdueSite(1, T, 60, T)
    for second in range(-600, 900, 10):
        peers.record(2 + second // 10 % 7, at(second))

    def missed(now: float) -> list[int]:
        return [
            to_slot(push.due) - to_slot(T) for push in missed_by(site, IngestProof(at(now), at(-1000)), peers, at(now))
        ]

    peers.known_until = at(83)
    assert missed(150) == []
    peers.known_until = at(84)
    assert missed(150) == [60]
    peers.record_absence(at(100), at(181))
    peers.known_until = at(300)
    assert missed(270) == [60, 240]


def test_the_proof_is_broken_by_more_than_two_lost_beats() -> None:
    proof = IngestProof(T)
    assert proof.unproven_since(T) == T, "nothing came as yet"
    proof, unproven = proof.extend(at(10), started_at=T)
    assert (proof, unproven) == (IngestProof(at(10), at(10)), [])
    proof, unproven = proof.extend(at(55), started_at=T)
    assert (proof, unproven) == (IngestProof(at(55), at(10)), [])
    assert proof.unproven_since(at(100)) is None
    assert proof.unproven_since(at(101)) == at(55)
    proof, (unheard,) = proof.extend(at(101), started_at=T)
    assert proof == IngestProof(at(101), at(101))
    assert (unheard.started_at, unheard.ended_at, unheard.reason) == (at(55), at(102), "ingest")


def test_while_the_worker_was_away_nothing_was_proven() -> None:
    _, (stopped,) = IngestProof(T, at(-100)).extend(at(700), started_at=at(690))
    assert (stopped.started_at, stopped.ended_at, stopped.reason) == (T, at(701), "stopped")
    _, ranges = IngestProof(T, at(-100)).extend(at(700), started_at=at(300))
    assert [(one.ended_at, one.reason) for one in ranges] == [(at(301), "stopped"), (at(701), "ingest")]
    unbroken, nothing = IngestProof(T, at(-100)).extend(at(30), started_at=at(20))
    assert (unbroken.since, nothing) == (at(-100), [])


def test_a_clock_that_was_set_back_proves_nothing_of_before() -> None:
    proof, _ = IngestProof(at(3600), at(1000)).extend(T, started_at=T)
    assert proof == IngestProof(T, T)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8001"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:81"),
        ({"host": "::", "ingest_port": 9000}, "http://[::1]:9000"),
        ({"public_url": "https://sinyal.example/"}, "https://sinyal.example"),
        ({"public_url": "https://example.id", "root_path": "/sinyal"}, "https://example.id/sinyal"),
        ({"public_url": "https://example.id/sinyal", "root_path": "/sinyal"}, "https://example.id/sinyal"),
        ({"root_path": "/sinyal"}, "http://127.0.0.1:8001"),
        ({"public_url": "http://192.0.2.1:8000", "ingest_url": "http://192.0.2.1:8001"}, "http://192.0.2.1:8001"),
    ],
)
def test_our_own_heartbeat_is_pushed_to_the_url_of_devices(given: dict[str, str], url: str) -> None:
    assert open_heartbeat(Settings(**given)).url == url + "/api/v1/push"  # type: ignore[arg-type]
