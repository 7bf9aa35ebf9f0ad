"""docs/sla.md counts a month by hand: its arithmetic is right, and the service counts that month the same."""

import re
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import WITA
from tests.conftest import Cast
from tests.factories import VILLAGE
from tests.support.sla_month import SlaMonth, build_month, set_cause
from tests.support.sla_page import FILES, MONTH, STRETCHES, Count, SlaPage
from tests.support.uptime import count as count_days
from tests.support.uptime import get

CODE = f"{VILLAGE}-01"
ADDENDUM = datetime(2026, 10, 16, tzinfo=WITA)
SERVICE_S, DAYS = 16 * 3_600, {"until": 11, "from": 16}
NOT_GOOD = (
    "counted_down_s",
    "excluded.short",
    "excluded.power",
    "excluded.maintenance",
    "excluded.parent",
    "unknown_s",
)


@pytest.fixture(autouse=True)
def _before_the_month_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page tells happened before the month was closed, however long ago that is by now."""
    monkeypatch.setattr(monthly_close, "CLOSES_AFTER_DAYS", 100 * 365)


@pytest.fixture(params=FILES)
def page(request: pytest.FixtureRequest) -> SlaPage:
    return SlaPage(request.param)


def test_every_line_of_the_page_has_the_seconds_between_its_moments(page: SlaPage) -> None:
    assert len(page.counts) > len(page.ledger) == 10
    for count in page.counts:
        assert count.ended_at - count.started_at == timedelta(seconds=count.seconds), count


def test_every_second_of_the_ledger_is_counted_once(page: SlaPage) -> None:
    for line in page.ledger:
        counts = [count for count in page.counts if count.line == line.line]
        for before, after in pairwise(counts):
            assert before.ended_at == after.started_at
        assert counts[-1].ended_at == line.ended_at
        window = next((r for r in page.records if r.kind == "maintenance" and r.line == line.line), line)
        assert counts[0].started_at == min(line.started_at, window.started_at)


def test_the_sums_are_those_of_the_lines(page: SlaPage) -> None:
    for name in NOT_GOOD:
        by_stretch = {
            "until": sum(c.seconds for c in page.counts if c.counts_as == name and c.started_at < ADDENDUM),
            "from": sum(c.seconds for c in page.counts if c.counts_as == name and c.started_at >= ADDENDUM),
        }
        assert page.sums[name] == by_stretch | {"together": sum(by_stretch.values())}, name
    claimed = sum((r.ended_at - r.started_at).seconds for r in page.records if r.kind == "claim")
    assert page.sums["claimed_s"] == {"until": 0, "from": claimed, "together": claimed}


def test_good_excluded_unknown_and_counted_seconds_are_the_service_seconds(page: SlaPage) -> None:
    for stretch, days in (DAYS | {"together": sum(DAYS.values())}).items():
        assert page.sums["covered_s"][stretch] == days * 86_400
        assert page.sums["service_s"][stretch] == days * SERVICE_S
        assert page.sums["good_s"][stretch] == days * SERVICE_S - sum(page.sums[name][stretch] for name in NOT_GOOD)


def test_the_percentages_follow_from_the_sums_rounded_down(page: SlaPage) -> None:
    for stretch in STRETCHES:
        service, down, unknown = (page.sums[name][stretch] for name in ("service_s", "counted_down_s", "unknown_s"))
        assert page.percentages["availability_pct"][stretch] == _pct(service - down - unknown, service - unknown)
        assert page.percentages["worst_pct"][stretch] == _pct(service - down - unknown, service)
        assert page.percentages["best_pct"][stretch] == _pct(service - down, service)


def test_the_verdict_follows_from_what_each_stretch_asks_for(page: SlaPage) -> None:
    targets = {"until": page.blocks["contract"]["sla_target_pct"], "from": page.blocks["addendum"]["sla_target_pct"]}
    needed = sum(Fraction(str(targets[name])) * page.sums["service_s"][name] / 100 for name in targets)
    service, down, unknown = (page.sums[name]["together"] for name in ("service_s", "counted_down_s", "unknown_s"))
    assert service - down < needed
    assert page.blocks["verdict"]["verdict"] == "missed"
    objected = next(count for count in page.counts if count.line == "b").seconds
    assert service - (down - objected) - unknown >= needed
    others = [
        sum(c.seconds for c in page.counts if c.line == line and c.counts_as == "counted_down_s") for line in "efi"
    ]
    assert service - (down - max(others)) - unknown < needed, "line b is the only one that could change the verdict"
    for number in (
        int(needed),
        service - down,
        int(needed) - (service - down),
        service - down - unknown,
        int(needed) - (service - down - unknown),
        down - objected,
        service - (down - objected) - unknown,
    ):
        assert page.written(number) in page.text


def test_the_percentage_of_all_hours_follows_from_the_ledger(page: SlaPage) -> None:
    month_s, contested = (
        31 * 86_400,
        sum(c.seconds for c in page.counts if c.line == "i" and c.counts_as == "unknown_s"),
    )
    lasted = {line.line: (line.ended_at - line.started_at).total_seconds() for line in page.ledger}
    window = next(r for r in page.records if r.kind == "maintenance")
    down = sum(lasted[line] for line in "abcdei") + (page.ledger[5].ended_at - window.ended_at).seconds - contested
    unreachable, unknown = lasted["g"], page.sums["unknown_s"]["together"]
    good = month_s - down - unreachable - unknown - (window.ended_at - window.started_at).seconds
    assert page.written(int(down)) in page.text
    assert f"{_pct(int(good), int(good + down + unreachable)):.3f}".replace(
        ".", "," if page.language == "id" else "."
    ) in (page.text)


def test_both_languages_show_the_same_figures() -> None:
    english, indonesian = (SlaPage(language) for language in FILES)
    for name in ("ledger", "records", "counts", "sums", "percentages", "blocks"):
        assert getattr(english, name) == getattr(indonesian, name), name
    in_english, in_indonesian = (re.sub(r"[.,](?=\d{3}\b)", "", _prose(page.text)) for page in (english, indonesian))
    assert sorted(_long_numbers(in_english)) == sorted(_long_numbers(in_indonesian))


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _long_numbers(text: str) -> list[str]:
    return re.findall(r"\b\d{4,}\b", text)


def _pct(part: int, whole: int) -> float:
    return floor(Fraction(part * 100_000, whole)) / 1000


def test_the_sums_of_the_answer_on_the_page_are_those_of_its_table(page: SlaPage) -> None:
    shown, together = page.blocks["verdict"], {name: row["together"] for name, row in page.sums.items()}
    assert shown["covered"] == {
        "from": "2026-10-05T00:00:00+08:00",
        "to": "2026-11-01T00:00:00+08:00",
        "seconds": together["covered_s"],
    }
    assert MONTH.isoformat() < shown["covered"]["from"]
    assert shown["excluded"] == _excluded(together)
    for name in ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s"):
        assert shown[name] == together[name]
    for name, row in page.percentages.items():
        assert shown[name] == row["together"]


def _excluded(sums: dict[str, Any]) -> dict[str, int]:
    return {name.removeprefix("excluded."): s for name, s in sums.items() if name.startswith("excluded.") and s}


@pytest.fixture
async def month(session: AsyncSession, cast: Cast) -> SlaMonth:
    return await build_month(session, cast, SlaPage("en"))


@pytest.mark.parametrize("counted", [False, True], ids=["live", "counted"])
async def test_the_service_counts_the_month_as_the_page_does(
    month: SlaMonth, session: AsyncSession, cast: Cast, counted: bool
) -> None:
    if counted:
        await count_days(session)
    total = (await get(cast.sari, f"/sites/{CODE}/uptime", period="2026-10"))["total"]
    _require_shown(month.page.blocks["verdict"], total["contract"])
    assert total["contract"]["reason"] == {language: SlaPage(language).quotation for language in FILES}
    for name, stretch in zip(DAYS, total["contract"]["stretches"], strict=True):
        sums = {key: row[name] for key, row in month.page.sums.items()}
        assert stretch["excluded"] == _excluded(sums)
        assert {key: stretch[key] for key in sums if "." not in key} == {k: s for k, s in sums.items() if "." not in k}
        assert {key: stretch[key] for key in month.page.percentages} == {
            key: row[name] for key, row in month.page.percentages.items()
        }
    assert month.page.written(total["seconds"]["down"]) in month.page.text
    assert f"{total['uptime_pct']}%" in month.page.text


async def test_contract_outages_lists_the_lines_of_the_page(month: SlaMonth, cast: Cast) -> None:
    answer = await get(cast.sari, f"/sites/{CODE}/contract-outages", period="2026-10")
    lines = [line for line in month.page.ledger if line.state in {"down", "unreachable"} and line.line != "a"]
    assert len(answer["items"]) == len(lines)
    for line, outage in zip(lines, answer["items"], strict=True):
        bounds = (outage[name] for name in ("last_ok_at", "started_at", "ended_at"))
        assert tuple(map(datetime.fromisoformat, bounds)) == (line.last_ok_at, line.started_at, line.ended_at)
        counts = [each for each in month.page.counts if each.line == line.line and each.started_at >= line.started_at]
        assert outage["counted_s"] == _sum(counts, "counted_down_s")
        assert outage["unknown_s"] == _sum(counts, "unknown_s")
        reason = {"c": "short", "d": "power", "g": "parent"}.get(line.line)
        assert not reason or outage["excluded"] == {reason: _sum(counts, f"excluded.{reason}")}
    power = answer["items"][2]
    assert (power["cause"], power["ticket_no"], power["cause_set_by"]) == ("power", "PLN-88213", "token ana")


async def test_the_months_list_has_the_site_as_one_row(month: SlaMonth, session: AsyncSession, cast: Cast) -> None:
    await count_days(session)
    answer = await get(cast.sari, "/sla", period="2026-10", provider="telkom-wms")
    (row,) = answer["items"]
    _require_shown(month.page.blocks["verdict"], row)


async def test_an_accepted_objection_changes_the_verdict_as_the_page_says(month: SlaMonth, cast: Cast) -> None:
    objected = next(count for count in month.page.counts if count.line == "b")
    await set_cause(cast, month.site_id, objected.started_at, {"cause": "power"})
    contract = (await get(cast.sari, f"/sites/{CODE}/uptime", period="2026-10"))["total"]["contract"]
    sums = month.page.sums
    assert contract["verdict"] == "met"
    assert contract["counted_down_s"] == sums["counted_down_s"]["together"] - objected.seconds
    assert contract["excluded"]["power"] == sums["excluded.power"]["together"] + objected.seconds


def _sum(counts: list[Count], counts_as: str) -> int:
    return sum(count.seconds for count in counts if count.counts_as == counts_as)


def _require_shown(shown: dict[str, Any], answered: dict[str, Any]) -> None:
    """Require what the page shows of an answer; moments may be written in any zone."""
    covered = answered["covered"]
    moments = {name: datetime.fromisoformat(covered[name]) for name in ("from", "to")}
    assert {name: datetime.fromisoformat(shown["covered"][name]) for name in moments} == moments
    assert {name: answered[name] for name in shown if name != "covered"} == {
        name: value for name, value in shown.items() if name != "covered"
    }
    assert covered["seconds"] == shown["covered"]["seconds"]
