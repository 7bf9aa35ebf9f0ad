"""What a process makes of the lines that come and do not come: pure, by a clock of the tests' own."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.streams.beat_clock import BeatClock
from app.streams.break_bounds import Break, Excuse
from app.streams.held import LATE_S, HeldStream, HeldStreams

START = 1_795_500_000.0
BEAT_S = 30
ROUND_S = 2 * BEAT_S


def opened(held: HeldStreams, site_id: int = 1, *, boot: str = "k3f9", number: int = 1, at: float = 0) -> HeldStream:
    stream = held.open(site_id, boot, number, BEAT_S, START + at)
    held.read_line(stream, 1000 + at, START + at + 0.1)
    return stream


def line(held: HeldStreams, stream: HeldStream, written: float, *, at: float | None = None) -> None:
    """A line that the device wrote then; by default it is read at once."""
    held.read_line(stream, 1000 + written, START + (written if at is None else at) + 0.1)


def only_break(held: HeldStreams) -> Break:
    ((_, found),) = held.breaks
    return found


def second(at: float) -> datetime:
    return datetime.fromtimestamp(START + at, UTC)


def test_lines_in_time_make_a_span_and_no_break() -> None:
    held = HeldStreams()
    stream = opened(held)
    for written in (60, 120, 180):
        line(held, stream, written)
    assert held.breaks == []
    assert (stream.span.started_at, stream.span.ended_at) == (START, START + 180.1)


def test_a_line_that_was_held_up_bounds_the_break_between_its_writing_and_its_reading() -> None:
    held = HeldStreams()
    stream = opened(held)
    held.miss(stream, START + 60 + LATE_S)
    line(held, stream, 60, at=83)
    found = only_break(held)
    assert (found.started_after, found.started_before) == (second(0), second(62))
    assert (found.ended_after, found.ended_before) == (second(60), second(84))
    assert (found.seconds_min, found.seconds_max) == (0, 84)


def test_a_device_that_writes_late_by_itself_was_never_cut_off() -> None:
    held = HeldStreams()
    stream = opened(held)
    held.miss(stream, START + 60 + LATE_S)
    line(held, stream, 90)
    assert held.breaks == []


def test_a_connection_of_the_same_boot_ends_the_silence_before_it() -> None:
    held = HeldStreams()
    stream = opened(held)
    line(held, stream, 60)
    held.miss(stream, START + 120 + LATE_S)
    held.close(stream)
    opened(held, number=2, at=140)
    found = only_break(held)
    assert found.started_after == second(60)
    assert second(120) <= found.started_before <= second(122)
    assert found.ended_before == second(140)


def test_a_device_that_started_anew_tells_nothing_of_the_link_before() -> None:
    held = HeldStreams()
    held.miss(opened(held), START + 60 + LATE_S)
    opened(held, boot="m2p7", at=140)
    assert held.breaks == []


def test_a_connection_that_was_ended_leaves_nothing_to_be_missed() -> None:
    held = HeldStreams()
    held.close(opened(held))
    opened(held, number=2, at=500)
    assert (held.breaks, len(held.spans)) == ([], 1)


def test_what_most_streams_miss_together_is_not_told_as_their_links() -> None:
    held = HeldStreams()
    streams = [opened(held, site_id) for site_id in range(1, 6)]
    for stream in streams[:3]:
        held.miss(stream, START + 60 + LATE_S)
    for stream in streams[:3]:
        line(held, stream, 60, at=80)
    assert [found.excuse for _, found in held.breaks] == [Excuse.SHARED] * 3


def test_one_of_many_is_told_as_its_links() -> None:
    held = HeldStreams()
    streams = [opened(held, site_id) for site_id in range(1, 6)]
    held.miss(streams[0], START + 60 + LATE_S)
    line(held, streams[0], 60, at=80)
    assert only_break(held).excuse is None


def test_a_stall_of_ours_makes_nobody_late() -> None:
    held = HeldStreams()
    stream = opened(held)
    held.note_stall(START + 58, START + 80)
    held.miss(stream, START + 80)
    line(held, stream, 60, at=80)
    assert (held.breaks, stream.missed_at) == ([], None)


def test_two_boots_that_take_turns_are_two_agents_with_one_token() -> None:
    held = HeldStreams()
    opened(held, boot="a", at=0)
    opened(held, boot="b", at=10)
    assert held.alternated == {}, "a device may have been replaced"
    opened(held, boot="a", number=2, at=20)
    assert held.alternated == {1: START + 20}


def test_both_requests_of_a_connection_are_one_stream() -> None:
    held = HeldStreams()
    assert opened(held) is held.open(1, "k3f9", 1, BEAT_S, START + 1)


@given(st.lists(st.floats(0, 3), max_size=30), st.floats(-0.0001, 0.0001))
def test_jitter_and_clocks_that_run_apart_hold_nothing_up(jitters: list[float], drift: float) -> None:
    clock = BeatClock()
    for n, jitter in enumerate(jitters):
        uptime = n * ROUND_S
        assert clock.delay_s(uptime, START + uptime * (1 + drift) + jitter) < LATE_S


@given(st.integers(1, 40), st.floats(0, 50), st.floats(0, 90))
def test_bounds_hold_the_break_wherever_it_lies(rounds: int, into_s: float, length_s: float) -> None:
    """Lines wait for the link and come when it is back; the missed ones are noticed after LATE_S."""
    held = HeldStreams()
    stream = opened(held)
    began = rounds * ROUND_S + into_s
    ended = began + length_s
    for n in range(1, rounds + 4):
        written = n * ROUND_S
        arrives = ended if began <= written < ended else written
        if arrives - written > LATE_S:
            held.miss(stream, START + written + LATE_S)
        line(held, stream, written, at=arrives)
    for _, found in held.breaks:
        assert found.started_after.timestamp() - 1 <= START + began <= found.started_before.timestamp() + 1
        assert found.ended_after.timestamp() - 1 <= START + ended <= found.ended_before.timestamp() + 1
    late_s = ended - -(-began // ROUND_S) * ROUND_S
    assert bool(held.breaks) == (late_s > LATE_S) or abs(late_s - LATE_S) < 0.01  # moments are floats
