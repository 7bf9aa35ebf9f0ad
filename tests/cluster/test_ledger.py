"""What `make cluster-faults` counts, on histories made by hand: a rule that is broken must show."""

from datetime import UTC, datetime, timedelta

from tests.cluster.ledger import Stretch, missing_and_doubled, pushes_missing, unseen, untrue
from tests.cluster.load import Acknowledged, Diary
from tests.cluster.villages import Outage

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def down(start: float, end: float, code: str = "a") -> Stretch:
    return Stretch(code, "down", None, at(start), at(end))


def test_down_within_an_outage_and_a_look_around_it_is_true() -> None:
    outage = Outage("a", at(100), at(160))
    assert untrue([down(103, 168)], [outage]) == []
    assert untrue([down(103, 168, "b")], [outage]) == [down(103, 168, "b")]
    assert untrue([down(103, 190)], [outage]) == [down(103, 190)]
    assert untrue([down(60, 160)], [outage]) == [down(60, 160)]
    assert untrue([down(103, 999)], [Outage("a", at(100), None)]) == []


def test_unknown_is_nobodys_outage() -> None:
    assert untrue([Stretch("a", "unknown", "stopped", at(0), at(60))], []) == []


def test_an_outage_of_which_nothing_is_told_is_overlooked_unless_it_goes_on() -> None:
    over, going_on = Outage("a", at(100), at(160)), Outage("b", at(100), None)
    assert unseen([down(110, 165)], [over, going_on], at(300)) == (1, [])
    assert unseen([down(200, 265)], [over, going_on], at(300)) == (1, [over])
    assert unseen([Stretch("a", "unknown", "stopped", at(90), at(170))], [over], at(300)) == (1, [])


def test_what_was_acknowledged_is_there_once() -> None:
    promised = [Acknowledged(key, 0.0, 1.0) for key in ("r-1", "r-2", "r-3")]
    missing, doubled = missing_and_doubled(promised, {"r-1": 1, "r-3": 2, "r-4": 1})
    assert ([entry.key for entry in missing], doubled) == (["r-2"], ["r-3"])


def test_pushes_are_counted_by_site() -> None:
    assert pushes_missing({"1/1", "1/2", "2/1"}, {"1/1", "1/2", "2/1", "2/2"}, [(1, 1), (2, 3)]) == (1, 1)
    assert pushes_missing({"1/1"}, {"1/1", "1/2"}, [(1, 2)]) == (0, 0)  # one that had no answer may be stored


def test_writing_works_again_with_the_first_attempt_that_began_after_the_fault() -> None:
    diary = Diary(acknowledged=[Acknowledged("r-1", 9.0, 12.0), Acknowledged("r-2", 14.0, 15.0)])
    assert (diary.first_after(10.0), diary.first_after(14.5)) == (15.0, None)
