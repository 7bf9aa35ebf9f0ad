"""The checks of the push run on synthetic facts: correct ones hold, and each error is found."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks.truth import push_checks, readings
from tests.benchmarks.truth.facts import Facts, Segment, Site
from tests.benchmarks.truth.intervals import Interval
from tests.benchmarks.truth.readings import Account

LINES: list[dict[str, Any]] = [
    *({"what": "measured", "site": "s", "boot": "a", "seq": n, "at": 100.0 + 10 * n} for n in range(5)),
    *({"what": "measured", "site": "s", "boot": "b", "seq": n, "at": 200.0 + 10 * n} for n in range(2)),
    {"what": "tried", "site": "s", "rows": [["a", n] for n in range(4)]},
    {"what": "acknowledged", "site": "s", "rows": [["a", 0], ["a", 1]], "accepted": 2, "duplicates": 0, "rejected": []},
    {"what": "acknowledged", "site": "s", "rows": [["a", 1], ["a", 2]], "accepted": 1, "duplicates": 1, "rejected": []},
    {"what": "lost", "site": "s", "rows": [["a", 3], ["a", 4]]},
    {"what": "tried", "site": "s", "rows": [["b", 0], ["b", 1]]},
    {"what": "acknowledged", "site": "s", "rows": [["b", 0], ["b", 1]], "accepted": 2, "duplicates": 0, "rejected": []},
]
RECEIPTS = {("s", "a"): [(0, 4)], ("s", "b"): [(0, 2)]}  # a's fourth came, and its answer did not
SLOTS = {"s": [100.0, 110.0, 120.0, 130.0, 201.0, 210.0]}


def test_a_correct_account_holds() -> None:
    account = Account.read(LINES)
    assert readings.arrived(account).holds
    assert readings.received(account, RECEIPTS).holds
    assert readings.stored(account, RECEIPTS, SLOTS).holds
    assert account.duplicates == 1


def test_missing_duplicate_rejected_and_misdated_readings_are_found() -> None:
    account = Account.read(LINES)
    assert not readings.received(account, RECEIPTS | {("s", "a"): [(0, 2)]}).holds
    assert not readings.received(account, RECEIPTS | {("s", "a"): [(0, 5)]}).holds, "never sent"
    for slots in (SLOTS["s"][1:], [*SLOTS["s"], 215.0], [*SLOTS["s"][:-1], 260.0]):
        assert not readings.stored(account, RECEIPTS, {"s": slots}).holds
    assert not readings.arrived(Account.read(LINES[:-1])).holds
    refused = LINES[-1] | {"rejected": [{"row": 1, "code": "in_future", "message": ""}]}
    assert not readings.arrived(Account.read([*LINES[:-1], refused])).holds


def facts(*sites: Site) -> Facts:
    found = Facts(10, Interval(0, 1000), {site.code: site for site in sites}, blind=[Interval(800, 830)])
    found.send_every_s = {site.code: 30 for site in sites}
    return found


def site(code: str, *segments: tuple[float, float, str], **true: Any) -> Site:
    return Site(code, segments=[Segment(*fields) for fields in segments], **true)


CUT, DARK = {"cut": [Interval(300, 400)]}, {"dark": [Interval(300, 500)]}


def correct_facts() -> Facts:
    built = facts(
        site("calm", (0, 5, "unknown"), (5, 1000, "up")),
        site("cut", (5, 308, "up"), (308, 405, "down"), (405, 1000, "up"), **CUT),
        site("dark", (5, 325, "up"), (325, 512, "down"), (512, 1000, "up"), **DARK),
        site("blink", (5, 310, "up"), (310, 330, "unknown"), (330, 1000, "up"), dark=[Interval(300, 320)]),
    )
    built.incidents = [
        {
            "code": code,
            "started_at": f"1970-01-01T00:{at}+00:00",
            "ended_at": "1970-01-01T00:08:00+00:00",
            "kind": "single",
            "cause_hint": hint,
        }
        for code, at, hint in (("cut", "05:08", "link"), ("dark", "05:25", "power"))
    ]
    return built


def test_correct_facts_hold() -> None:
    assert [check.__name__ for check in push_checks.CHECKS if not check(correct_facts()).holds] == []


ERRORS: dict[str, tuple[Callable[[Facts], Any], Site]] = {
    "an outage not found": (push_checks.outages, site("x", (5, 1000, "up"), **CUT)),
    "an outage that begins late": (push_checks.outages, site("x", (5, 330, "up"), (330, 405, "down"), **CUT)),
    "an outage that ends late": (push_checks.outages, site("x", (308, 440, "down"), **CUT)),
    "a cut not found": (push_checks.power, site("x", (5, 1000, "up"), **DARK)),
    "a cut that begins late": (push_checks.power, site("x", (360, 512, "down"), **DARK)),
    "an outage built of our own blindness": (push_checks.inventions, site("x", (800, 830, "down"))),
    "unknown without a reason": (
        push_checks.knowledge,
        site("x", (5, 600, "up"), (600, 630, "unknown"), (630, 1000, "up")),
    ),
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_found(error: str) -> None:
    check, untrue = ERRORS[error]
    assert not check(facts(untrue)).holds


def test_a_wrong_hint_is_found() -> None:
    built = correct_facts()
    assert built.incidents is not None
    built.incidents[1]["cause_hint"] = "link"
    assert not push_checks.hints(built).holds
