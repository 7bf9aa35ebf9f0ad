"""`docs/verify_report.py`, which imports nothing of ours, finds the same hash and rupiah in a paper as we print."""

import asyncio
import contextlib
import copy
import io
import runpy
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from app.contracts.restitution import CountedOutage, FeeStretch, compute_restitution
from app.contracts.restitution_rule import RestitutionRule, stored
from app.contracts.rupiah import round_half_up
from app.reports.papers import paper_pdf
from app.reports.report_files import data_hash, report_files
from app.reports.schemas import REPORT_DATA, ReportData
from app.settings import ROOT
from tests.reports.report_samples import HEADING

SCRIPT = ROOT / "docs" / "verify_report.py"
DAYS = ("2026-10-01", "2026-10-11", "2026-10-21")
BANDS = [
    {"below_pct": 99.5, "share_pct": 5},
    {"below_pct": 98.0, "share_pct": 20},
    {"below_pct": 90, "share_pct": 62.5},
]
RULES: list[dict[str, Any]] = [
    {"kind": "proportional"},
    {"kind": "proportional", "divisor_pct": 99.5, "cap_pct": 7.5},
    {"kind": "shortfall"},
    {"kind": "banded", "bands": BANDS},
    {"kind": "cliff", "below_pct": 95},
    {"kind": "cliff", "below_pct": 95.125, "share_pct": 33.333},
    {"kind": "per_incident", "after_s": 14_400, "per_hour_pct": 0.5},
    {"kind": "per_incident", "after_s": 0, "per_hour_idr": 12_345, "cap_pct": 3.3},
]


def random_lines(random: Random, count: int) -> list[list[dict[str, Any]]]:
    """Return lines of a stretch under each of the terms; an outage may go on under the next ones."""
    return [[_random_stretch(random) for _ in DAYS] for _ in range(count)]


def _random_stretch(random: Random) -> dict[str, Any]:
    outages = [
        (which, random.randrange(0, 40_000), random.choice([0, random.randrange(9_000)]))
        for which in random.sample(range(4), random.randrange(3))
    ]
    return {
        "good_s": random.randrange(700_000, 900_000),
        "power_s": random.choice([0, random.randrange(20_000)]),
        "elsewhere_s": random.choice([0, random.randrange(60_000)]),
        "outages": outages,
        "fee": None if random.random() < 0.1 else Fraction(random.randrange(10**9), random.choice([1, 31, 2_678_400])),
    }


def a_month(terms: list[dict[str, Any]], lines: list[list[dict[str, Any]]]) -> ReportData:
    """Return the data set of lines with a stretch under each of the terms, paid back as our own arithmetic says."""
    data = copy.deepcopy(REPORT_DATA)
    [of] = data["contract"]["terms"]
    rules = [each["rule"] and RestitutionRule(**each["rule"]) for each in terms]
    data["contract"]["terms"] = [
        of | {"terms_on": day, "restitution": stored(rule), "min_coverage_pct": each["min_coverage_pct"]}
        for day, rule, each in zip(DAYS, rules, terms, strict=False)
    ]
    [site], [outage] = data["sites"], data["outages"]
    data["sites"], data["outages"], fees = [], [], Fraction(0)
    for number, stretches in enumerate(lines):
        code, counted = f"64.02.05.{2000 + number}-01", []
        for day, rule, each, stretch in zip(DAYS, rules, terms, stretches, strict=False):
            counted.append(_counted(day, rule, each, stretch))
            data["outages"] += [
                outage
                | {"site": code, "terms_on": day, "started_at": each.started_at, "counted_s": each.counted_s}
                | {"unknown_s": each.unknown_s}
                for each in counted[-1].outages
            ]
        fees += sum((each.fee or Fraction(0) for each in counted), Fraction(0))
        due = compute_restitution(counted)
        line = {name: getattr(due, name) for name in ("idr", "least_idr", "most_idr", "status", "steps")}
        data["sites"].append(site | {"code": code, "stretches": [_row(each) for each in counted], "restitution": line})
    data["totals"] |= {"fee_idr": round_half_up(fees)}
    data["totals"]["restitution_idr"] = sum(each["restitution"]["idr"] for each in data["sites"])
    data["totals"]["payable_idr"] = data["totals"]["fee_idr"] - data["totals"]["restitution_idr"]
    return ReportData.model_validate(data)


def _counted(day: str, rule: Any, terms: dict[str, Any], stretch: dict[str, Any]) -> FeeStretch:
    outages = [
        CountedOutage(HEADING.issued_at.replace(day=1 + which), counted, unknown)  # type: ignore[union-attr]
        for which, counted, unknown in stretch["outages"]
    ]
    down, unknown = (sum(getattr(each, name) for each in outages) for name in ("counted_s", "unknown_s"))
    unknown += stretch["elsewhere_s"]
    service_s = stretch["good_s"] + stretch["power_s"] + down + unknown
    return FeeStretch(
        date.fromisoformat(day),
        service_s,
        service_s,
        stretch["good_s"],
        down,
        {"power": stretch["power_s"]},
        unknown,
        terms["target_pct"],
        stretch["fee"],
        rule,
        terms["min_coverage_pct"],
        outages,
    )


def _row(counted: FeeStretch) -> dict[str, Any]:
    row: dict[str, Any] = REPORT_DATA["sites"][0]["stretches"][0]
    names = ("terms_on", "covered_s", "service_s", "good_s", "counted_down_s", "excluded", "unknown_s", "target_pct")
    fee = None if counted.fee is None else f"{counted.fee.numerator}/{counted.fee.denominator}"
    return row | {name: getattr(counted, name) for name in names} | {"fee": fee, "claimed_s": 0}


def verify(folder: Path, files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str | int | None]:
    """Run the script on the files in this process; return what it prints, and how it exits."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *(str(folder / name) for name in files)])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))
    return printed.getvalue(), ended.value.code


@pytest.mark.parametrize("unknown", ["unproven", "as_good", "as_down", "pro_rata"])
def test_every_rule_gives_the_same_rupiah(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown: str) -> None:
    for number, rule in enumerate(RULES):
        if (rule["kind"], unknown) == ("per_incident", "pro_rata"):
            continue  # there is no such rule
        random = Random(f"{number} {unknown}")
        least = random.choice([None, Decimal("96.5")])
        of = {"rule": rule | {"unknown": unknown}, "target_pct": Decimal("99.25"), "min_coverage_pct": least}
        target = of | {"target_pct": Decimal("98.5")}
        other = of | {"rule": random.choice([None, RULES[number - 1]])}
        data = a_month([of, random.choice([of, target]), other], random_lines(random, 12))
        files = report_files(data)
        printed, status = verify(tmp_path, files, monkeypatch)
        assert status is None, (rule, status)
        assert data_hash(files) in printed
        assert f"restitution_idr: {data.totals.restitution_idr}" in printed


@pytest.fixture
def files() -> dict[str, bytes]:
    terms = {"rule": {"kind": "proportional"}, "target_pct": Decimal(99), "min_coverage_pct": None}
    stretch = {"good_s": 80_000, "power_s": 0, "elsewhere_s": 0, "outages": [(1, 6_400, 0)], "fee": Fraction(4_500_000)}
    return report_files(a_month([terms], [[stretch]] * 3))


async def test_a_paper_by_itself_is_enough(tmp_path: Path, files: dict[str, bytes]) -> None:
    pdf = tmp_path / "BA-2026-10-0007.pdf"
    pdf.write_bytes(await paper_pdf(ReportData.model_validate(REPORT_DATA), HEADING, files))
    command = [sys.executable, "-I", str(SCRIPT), str(pdf)]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert data_hash(files) in ran.stdout
    assert "3 lines are equal to the rupiah" in ran.stdout


def test_a_changed_rupiah_is_found(tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    due = b",333333,"
    assert due in files["sites.csv"]
    changed = files | {"sites.csv": files["sites.csv"].replace(due, b",333334,", 1)}
    printed, status = verify(tmp_path, changed, monkeypatch)
    assert "Not equal" in str(status)
    assert "64.02.05.2000-01" in str(status)
    assert data_hash(files) not in printed


def test_changed_seconds_are_found(tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    changed = files | {"sites.csv": files["sites.csv"].replace(b",6400,", b",6500,", 1)}
    assert "Not equal" in str(verify(tmp_path, changed, monkeypatch)[1])


def test_seconds_that_do_not_add_up_are_found_where_no_rupiah_depends_on_them(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *rows = (line.split(b",") for line in files["sites.csv"].splitlines(keepends=True))
    column = header.index(b"good_s")
    rows[0][column] = str(int(rows[0][column]) - 1).encode()
    changed = files | {"sites.csv": b"".join(b",".join(row) for row in [header, *rows])}
    assert rows[0][0].decode() in str(verify(tmp_path, changed, monkeypatch)[1])


@pytest.mark.parametrize("name", ["fee_idr", "restitution_idr", "payable_idr"])
def test_a_changed_total_is_found(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    method = orjson.loads(files["method.json"])
    method["totals"][name] += 1
    changed = files | {"method.json": orjson.dumps(method)}
    assert f"'{name}'" in str(verify(tmp_path, changed, monkeypatch)[1])


def test_a_row_that_was_dropped_is_found(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = b"".join(files["sites.csv"].splitlines(keepends=True)[:-1])
    printed, status = verify(tmp_path, files | {"sites.csv": shorter}, monkeypatch)
    assert "fee_idr" in str(status)
    assert data_hash(files) not in printed


def test_the_script_is_short_and_needs_python_alone() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= 60
    assert "import app" not in source
    assert "from app" not in source
