"""What a prober looks at again soon, by its own readings alone."""

from typing import Any

import numpy as np

from app.prober.assignment import read_sites
from app.probing.local_follow import LocalFollow
from app.probing.schedule import Schedule
from app.registry.models import State
from probes.contract import Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.prober.stand_in import a_site

OK, LOST, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
START = 1_795_910_400


class Followed:
    """One site in a schedule that follows what is read of it."""

    def __init__(self, **site: Any) -> None:
        (self.plan,) = (site.plan for site in read_sites([a_site(7, **site)])[0])
        self.schedule, self.following, self.now = Schedule(), LocalFollow(), START
        self.schedule.put(self.plan, now=START)

    def read(self, outcome: Outcome, slot: int | None = None) -> list[tuple[State, bool]]:
        slot = self.now if slot is None else slot
        rtts = (900,) if outcome is OK else ()
        block = ReadingBlock.of([Reading(7, slot, outcome, 3, rtts, 60)])
        judged = self.following.follow(block, self.schedule.expected_outcomes(block.key))
        self.schedule.follow(judged, now=self.now)
        return [(item.state, item.pending) for item in judged]

    def next_look(self) -> int:
        """Pass the time until the next look; return how long that is."""
        started = self.now
        while not len(self.schedule.take(self.now)):
            self.now += 1
        return self.now - started


def test_a_site_that_answers_as_ever_costs_nothing() -> None:
    site = Followed()
    site.next_look()
    assert site.read(OK) == [(State.UP, False)]
    for _ in range(3):
        site.next_look()
        assert site.read(OK) == []


def test_a_loss_is_confirmed_after_ten_seconds_and_a_long_outage_looked_at_less_often() -> None:
    site = Followed()
    site.next_look()
    site.read(OK)
    site.next_look()
    assert site.read(LOST) == [(State.UP, True)]
    assert site.next_look() == 10
    assert site.read(LOST) == [(State.DOWN, False)]
    began, longest = site.now, dict[int, int]()
    while (lasts := site.now - began) < 2 * 3600:
        stage = 10 if lasts < 580 else 30 if 620 < lasts < 3560 else 60 if lasts > 3640 else 0
        longest[stage] = max(longest.get(stage, 0), site.next_look())
        site.read(LOST)
    assert {stage: pause for stage, pause in longest.items() if stage} == {10: 10, 30: 30, 60: 60}
    site.next_look()
    assert site.read(OK) == [(State.UP, False)]


def test_a_loss_that_is_not_confirmed_is_over() -> None:
    site = Followed()
    site.next_look()
    site.read(OK)
    site.next_look()
    site.read(LOST)
    site.next_look()
    assert site.read(OK) == [(State.UP, False)]
    site.next_look()
    assert site.read(LOST) == [(State.UP, True)], "one loss more is the first again"


def test_a_site_that_never_answered_is_looked_at_as_always() -> None:
    site = Followed()
    site.next_look()
    for _ in range(3):
        assert site.read(LOST) == [(State.UNKNOWN, False)]
        assert site.next_look() == 60


def test_a_fault_of_ours_confirms_nothing_and_ends_nothing() -> None:
    site = Followed()
    site.next_look()
    site.read(OK)
    assert site.read(FAULT, site.now + 1) == [(State.UP, False)]
    assert site.read(LOST, site.now + 2) == [(State.UP, True)]
    assert site.read(FAULT, site.now + 3) == [(State.UP, True)]
    assert site.read(LOST, site.now + 4) == [(State.DOWN, False)]
    assert site.read(FAULT, site.now + 5) == [(State.DOWN, False)]


def test_a_site_that_moved_is_a_new_one() -> None:
    site = Followed()
    site.read(OK)
    site.following.forget([7])
    site.schedule.remove(7)
    site.schedule.put(site.plan, now=site.now)
    assert site.read(LOST, site.now + 1) == [(State.UNKNOWN, False)]


def test_what_is_older_than_the_last_reading_changes_nothing() -> None:
    site = Followed()
    site.read(OK, START + 100)
    assert site.read(LOST, START + 90) == []


def test_a_first_loss_names_its_parent_so_that_it_is_looked_at_at_once() -> None:
    following = LocalFollow({7: 3})
    block = ReadingBlock.of([Reading(7, START, OK, 3, (900,), 60), Reading(7, START + 60, LOST, 3, (), 60)])
    (judged,) = following.follow(block, np.full(2, -1, np.int8))
    assert (judged.parent_id, judged.pending) == (3, True)
