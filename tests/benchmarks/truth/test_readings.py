"""Readings of agents against measurements: a correct account holds, and each error is found."""

from typing import Any

import pytest

from tests.benchmarks.truth.checker import readings
from tests.benchmarks.truth.checker.facts import Action, Facts, Forgery, Site
from tests.benchmarks.truth.checker.intervals import Interval
from tests.benchmarks.truth.checker.readings import Account
from tests.benchmarks.truth.synthetic_ledger import iso

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
SLOTS = [100, 110, 120, 130, 201, 210]  # the fourth came, and its answer did not


def facts(slots: list[int], **fields: Any) -> Facts:
    rows = [{"slot": iso(slot), "source": "agent", "reason": None} for slot in slots]
    rows += [{"slot": iso(205), "source": "agent", "reason": "arrival"}, {"slot": iso(99), "source": "silence"}]
    return Facts(10, Interval(0, 1000), {"s": Site("s", is_push=True, readings=rows, **fields)})


@pytest.mark.parametrize("slots", [SLOTS, SLOTS[:3] + SLOTS[4:]])
def test_a_correct_account_holds_whether_or_not_an_unanswered_reading_arrived(slots: list[int]) -> None:
    account = Account.read(LINES)
    assert readings.acknowledged(account, facts(slots)).holds
    assert readings.stored(account, facts(slots)).holds
    assert account.duplicates == 1


@pytest.mark.parametrize("slots", [SLOTS[2:], [*SLOTS, 215], [*SLOTS[:-1], 260], [*SLOTS[:3], *SLOTS[5:]]])
def test_missing_doubled_and_misdated_readings_are_found(slots: list[int]) -> None:
    assert not readings.stored(Account.read(LINES), facts(slots)).holds


def test_readings_that_were_never_acknowledged_or_rejected_are_found() -> None:
    assert not readings.acknowledged(Account.read(LINES[:-1]), facts(SLOTS)).holds
    rejected = LINES[-1] | {"rejected": [{"row": 1, "code": "not_active", "message": ""}]}
    account = Account.read([*LINES[:-1], rejected])
    assert not readings.acknowledged(account, facts(SLOTS)).holds
    suspended = facts(SLOTS, actions=[Action("suspend", "s", 205, 206)])
    assert readings.acknowledged(account, suspended).holds


def test_what_was_forged_is_stored_beside_them() -> None:
    forged = facts([*SLOTS, 300], forged=[Forgery("s", Interval(300, 310), 400, [300])])
    assert readings.stored(Account.read(LINES), forged).holds
    assert not readings.stored(Account.read(LINES), facts([*SLOTS, 300])).holds
