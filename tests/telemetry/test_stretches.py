from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.stretches import SaidStretch, join
from probes.telemetry import LinkState, Telemetry

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)
BRIDGE_S = 60


def said(second: int, state: LinkState, **figures: Any) -> Telemetry:
    return Telemetry("ut", BEGAN + timedelta(seconds=second), state, **figures)


ANSWERS = st.dictionaries(st.integers(0, 2_000), st.sampled_from(LinkState), max_size=60)


def whole(answers: dict[int, LinkState], cuts: list[int]) -> tuple[list[SaidStretch], int]:
    """Join answer by answer in batches, as a reader does that comes again; return all stretches as they ended."""
    samples = [said(second, state) for second, state in sorted(answers.items())]
    bounds = [0, *sorted(cut % (len(samples) + 1) for cut in cuts), len(samples)]
    kept: dict[datetime, SaidStretch] = {}
    late = 0
    for first, last in pairwise(bounds):
        before = kept[max(kept)] if kept else None
        changed, known = join(before, samples[first:last], bridge_s=BRIDGE_S, heard_at=BEGAN)
        kept |= {stretch.started_at: stretch for stretch in changed}
        late += known
    return [kept[start] for start in sorted(kept)], late


@given(answers=ANSWERS, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_batches_join_to_the_same_stretches_wherever_they_are_cut(
    answers: dict[int, LinkState], cuts: list[int]
) -> None:
    stretches, late = whole(answers, cuts)
    once, _ = whole(answers, [])
    figures = [(each.started_at, each.seen_at, each.state, each.samples, each.widest_gap_s) for each in stretches]
    assert figures == [(each.started_at, each.seen_at, each.state, each.samples, each.widest_gap_s) for each in once]
    assert late == 0
    assert sum(each.samples for each in stretches) == len(answers)
    assert all(each.widest_gap_s <= BRIDGE_S for each in stretches)


@given(answers=ANSWERS)
def test_what_was_taken_once_adds_nothing_again(answers: dict[int, LinkState]) -> None:
    samples = [said(second, state) for second, state in answers.items()]
    first, _ = join(None, samples, bridge_s=BRIDGE_S, heard_at=BEGAN)
    again, late = join(first[-1] if first else None, samples, bridge_s=BRIDGE_S, heard_at=BEGAN)
    assert late == len(answers)
    assert [each for each in again if each not in first] == []


def test_another_cause_another_start_or_a_silence_begins_a_new_stretch() -> None:
    up, down = LinkState.UP, LinkState.DOWN
    answers = [
        said(0, up, uptime_s=1_000, alerts=("roaming",)),
        said(15, up, uptime_s=1_015, alerts=("is_heating",)),
        said(30, up, uptime_s=10),
        said(45, down, cause="obstructed"),
        said(60, down, cause="no_sats"),
        said(180, down, cause="no_sats"),
    ]
    stretches, late = join(None, answers, bridge_s=BRIDGE_S, heard_at=BEGAN)
    assert ([each.samples for each in stretches], late) == ([2, 1, 1, 1, 1], 0)
    assert stretches[0].alerts == ("roaming", "is_heating")
    assert stretches[1].booted_at == BEGAN + timedelta(seconds=20)
