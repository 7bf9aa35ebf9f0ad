"""Parsing of request bodies: pure, without a database."""

from typing import Any

import pytest

from app.core.errors import Invalid, TooLarge
from app.push import parser
from app.push.parser import Push

VALID_ROW = {"boot": "k3f9", "seq": 181, "sent": 3, "rtt_ms": [21.3, 22.0]}


def parse(**changes: Any) -> Push:
    """A valid row with changes; "absent" removes a field."""
    return parser.parse({name: value for name, value in (VALID_ROW | changes).items() if value != "absent"})


def round_trips(**changes: Any) -> tuple[int, ...]:
    push = parse(**changes)
    assert push.faults == []
    return push.rows[0].rtt_us


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (86400, 86400),
        (12.5, 12.5),
        (0, 0),
        ("00:05:10", 310),
        ("1d02:03:04", 93_784),
        ("1w2d03:04:05", 788_645),
        ("3w", 1_814_400),
        ("2h5m", 7500),
        ("00:00:01.5", 1.5),
    ],
)
def test_uptime_is_parsed_from_seconds_or_a_routeros_duration(written: object, seconds: float) -> None:
    assert parse(uptime_s=written).rows[0].uptime_us == seconds * 1_000_000


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-11-24T06:00:00Z", 1_795_500_000),
        ("2026-11-24T14:00:00+08:00", 1_795_500_000),
        (1_795_500_000, 1_795_500_000),
        (1_795_500_000_250, 1_795_500_000.25),
        ("1970-01-01T00:05:00Z", 300),
        (300, 300),
    ],
)
def test_a_clock_is_parsed_whether_right_or_wrong(written: object, seconds: float) -> None:
    assert parse(clock=written).rows[0].clock_us == seconds * 1_000_000


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"received": 0}, []),
        ({"received": 1, "rtt_min_ms": 20, "rtt_avg_ms": 20, "rtt_max_ms": 20}, [20_000]),
        ({"received": 2, "rtt_min_ms": 20, "rtt_avg_ms": 25, "rtt_max_ms": 30}, [20_000, 30_000]),
        ({"received": 3, "rtt_min_ms": 20, "rtt_avg_ms": 24, "rtt_max_ms": 30}, [20_000, 22_000, 30_000]),
        ({"received": 3, "rtt_min_ms": 20, "rtt_avg_ms": 90, "rtt_max_ms": 30}, [20_000, 30_000, 30_000]),
        ({"received": 3, "rtt_avg_ms": 24}, [24_000] * 3),
        ({"received": 2, "rtt_min_ms": 20, "rtt_max_ms": 30}, [20_000, 30_000]),
    ],
)
def test_round_trips_are_reconstructed_from_a_summary(summary: dict[str, Any], expected: list[int]) -> None:
    assert round_trips(rtt_ms="absent", **summary) == tuple(expected)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("missing", {"boot": "absent"}),
        ("missing", {"seq": "absent"}),
        ("missing", {"sent": None}),
        ("missing", {"rtt_ms": "absent"}),
        ("missing", {"rtt_ms": None, "received": 2}),
        ("bad_boot", {"boot": ""}),
        ("bad_boot", {"boot": "x" * 33}),
        ("bad_boot", {"boot": "a,b"}),
        ("bad_boot", {"boot": 7}),
        ("bad_boot", {"boot": "a\0"}),
        ("bad_boot", {"boot": "a\n"}),
        ("out_of_range", {"seq": -1}),
        ("out_of_range", {"seq": 2**53 + 1}),
        ("out_of_range", {"seq": 1.8446744073709552e19}),
        ("not_whole", {"seq": "7"}),
        ("not_whole", {"seq": True}),
        ("not_whole", {"seq": [1]}),
        ("not_whole", {"seq": 1.5}),
        ("out_of_range", {"sent": -1}),
        ("out_of_range", {"sent": 101}),
        ("not_whole", {"sent": "3"}),
        ("not_whole", {"sent": False}),
        ("not_a_list", {"rtt_ms": 21.3}),
        ("not_a_list", {"rtt_ms": {"a": 1}}),
        ("not_a_number", {"rtt_ms": [None]}),
        ("not_a_number", {"rtt_ms": ["21"]}),
        ("not_a_number", {"rtt_ms": [True]}),
        ("not_a_number", {"rtt_ms": [[21.3]]}),
        ("out_of_range", {"rtt_ms": [-0.1]}),
        ("out_of_range", {"rtt_ms": [60_001]}),
        ("out_of_range", {"rtt_ms": [1e300]}),
        ("too_many_answers", {"rtt_ms": [1, 2, 3, 4]}),
        ("too_many_answers", {"rtt_ms": None, "received": 4}),
        ("not_whole", {"rtt_ms": None, "received": "3"}),
        ("out_of_range", {"rtt_ms": None, "received": -1}),
        ("wrong_order", {"rtt_ms": None, "received": 2, "rtt_min_ms": 3, "rtt_avg_ms": 2, "rtt_max_ms": 1}),
        ("not_a_number", {"rtt_ms": None, "received": 2, "rtt_avg_ms": "21"}),
        ("bad_uptime", {"uptime_s": "soon"}),
        ("bad_uptime", {"uptime_s": ""}),
        ("bad_uptime", {"uptime_s": "1d\0"}),
        ("out_of_range", {"uptime_s": -1}),
        ("out_of_range", {"uptime_s": 1e12}),
        ("not_a_number", {"uptime_s": True}),
        ("out_of_range", {"uptime_s": "99999w"}),
        ("naive_time", {"clock": "2026-11-24T06:00:00"}),
        ("bad_time", {"clock": "yesterday"}),
        ("bad_time", {"clock": ""}),
        ("bad_time", {"clock": -1}),
        ("bad_time", {"clock": 1e30}),
        ("bad_time", {"clock": []}),
        ("not_whole", {"clients": "14"}),
        ("out_of_range", {"clients": -1}),
        ("bad_agent", {"agent": "x\0"}),
        ("bad_agent", {"agent": "x" * 61}),
        ("not_whole", {"waiting": 1.5}),
        ("out_of_range", {"dropped": 2**31}),
    ],
)
def test_an_invalid_row_is_rejected_with_its_code(code: str, changes: dict[str, Any]) -> None:
    push = parse(**changes)
    assert ([fault.code for fault in push.faults], push.rows) == ([code], [])
    assert push.faults[0].row == 0


def test_an_invalid_row_does_not_affect_the_others() -> None:
    push = parser.parse({"boot": "b", "batch": [VALID_ROW, {"seq": 1}, "nonsense", None, VALID_ROW | {"seq": 5}]})
    assert [row.position for row in push.rows] == [0, 4]
    assert [(fault.row, fault.code) for fault in push.faults] == [
        (1, "missing"),
        (2, "not_an_object"),
        (3, "not_an_object"),
    ]


def test_faults_beside_a_batch_reject_none_of_its_rows() -> None:
    push = parser.parse({"boot": "b", "sent_at": "2026-11-24T06:00:00", "clients": "many", "batch": [VALID_ROW]})
    assert [(fault.row, fault.code) for fault in push.faults] == [(None, "naive_time"), (None, "not_whole")]
    assert len(push.rows) == 1


@pytest.mark.parametrize(
    ("code", "epochs"),
    [
        ("bad_epochs", []),
        ("bad_epochs", {f"b{n}": 1 for n in range(33)}),
        ("bad_boot", {"a b": 1}),
        ("not_a_number", {"b": "1"}),
        ("not_a_number", {"b": True}),
        ("out_of_range", {"b": -1}),
        ("out_of_range", {"b": 1e300}),
    ],
)
def test_epochs_that_cannot_be_read_are_a_fault_of_their_own(code: str, epochs: object) -> None:
    push = parser.parse({"boot": "b", "epochs": epochs, "batch": [VALID_ROW]})
    assert [(fault.row, fault.code, fault.field) for fault in push.faults] == [(None, code, "epochs")]
    assert (len(push.rows), push.epochs_us) == (1, {})


def test_a_batch_without_a_boot_has_the_boot_of_its_last_row() -> None:
    batch = [VALID_ROW | {"boot": "old"}, VALID_ROW | {"boot": "new"}]
    assert parser.parse({"batch": batch}).boot == "new"
    assert parser.parse({"boot": "own", "batch": batch}).boot == "own"


def test_a_row_holds_100_replies_and_a_batch_1000_rows() -> None:
    assert len(round_trips(sent=100, rtt_ms=[1.5] * 100)) == 100
    assert len(parser.parse({"batch": [VALID_ROW] * 1000}).rows) == 1000
    with pytest.raises(TooLarge, match="this one has 1001"):
        parser.parse({"batch": [VALID_ROW] * 1001})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"rtt_ms": [NaN]}', "JSON has no NaN (character 13): leave the value out"),
        (b'{"rtt_ms": [-Infinity]}', "JSON has no Infinity"),
        (b'{"seq": 1e999}', "infinity when parsed as double (line 1, character 9)"),
        (b'{"boot": "k3f9",\n "seq" 1}', "line 2, character 8"),
        (b"", "zero-length"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"[" * 5000, "depth limit"),
        (b'"\\ud800"', "surrogate"),
        (b"[]", "must be a JSON object"),
        (b"7", "must be a JSON object"),
        (b"null", "must be a JSON object"),
    ],
)
def test_invalid_json_is_rejected_with_the_position(body: bytes, message: str) -> None:
    with pytest.raises(Invalid) as error:
        parser.load(body)
    (fault,) = error.value.faults
    assert message in fault.message.format_map(fault.values)
