from datetime import UTC, datetime, timedelta
from typing import Any

from app.charts.throughput_bars import SpeedTest, read_tests, throughput_bars
from tests.charts.drawing import WORDS, parsed, texts, titles

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=30)


def test_a_test_is_shown_against_what_was_contracted_on_its_day() -> None:
    tests = [
        SpeedTest(START + timedelta(days=3), True, 17.4, 4.9, 20, 5),
        SpeedTest(START + timedelta(days=15), False, 30, None, 20, 5),
        SpeedTest(START + timedelta(days=18), True, 9, 2, 10, None),
        SpeedTest(END + timedelta(days=1), True, 99, 99, 10, 5),  # of another period
    ]
    root = parsed(throughput_bars(tests, START, END, label="Kecepatan", words=WORDS))
    assert [title.split("WITA: ")[1] for title in titles(root)] == [
        *("17,4 Mbps dari 20 menurut kontrak", "9 Mbps dari 10 menurut kontrak", "30 Mbps, ditolak"),
        *("4,9 Mbps dari 5 menurut kontrak", "2 Mbps"),
    ]
    down, up = (path.attrib["d"] for path in root.iter("path"))
    assert down == "M0 26.7H500V26.7H600V53.3H1000"  # 20 Mbps until the test that was under 10
    assert up == "M0 13.3H500V13.3H600"  # then no rate was contracted
    assert [len(list(group.iter("circle"))) for group in root.iter("g") if group.get("class") == "rejected"] == [1]


def test_without_tests_each_panel_says_so() -> None:
    root = parsed(throughput_bars([], START, END, label="Kecepatan", words=WORDS))
    assert texts(root).count("tidak ada pengukuran dalam masa ini") == 2


def test_tests_with_a_result_are_read_as_the_api_gives_them_the_earliest_first() -> None:
    def item(day: int, status: str, down: float | None) -> dict[str, Any]:
        rates = {"down_mbps": down, "up_mbps": None, "contract_down_mbps": 20.0, "contract_up_mbps": None}
        return {"planned_at": f"2026-11-{day:02}T08:00:00+08:00", "started_at": None, "status": status, **rates}

    tests = read_tests([item(3, "invalid", 40.0), item(2, "skipped", None), item(1, "done", 17.4)])
    assert [(test.at.day, test.counts, test.down_mbps) for test in tests] == [(1, True, 17.4), (3, False, 40.0)]
