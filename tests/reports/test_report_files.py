"""The files and what is compared between data sets: the same for the same data, and words for each change."""

import csv
import hashlib
import io
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.availability.contract_schemas import SlaVerdict
from app.core.clock import WITA
from app.reports.objection_term import after_working_days, allowed_days, default_until
from app.reports.recap_schemas import RECAP_DATA, RecapData
from app.reports.report_changes import MAX_CHANGES, changes
from app.reports.report_files import data_hash, report_files
from app.reports.report_totals import add_up
from app.reports.schemas import REPORT_DATA, ReportData

DATA = ReportData.model_validate(REPORT_DATA)


def with_site(**fields: Any) -> ReportData:
    return DATA.model_copy(update={"sites": [DATA.sites[0].model_copy(update=fields)]})


def test_the_same_data_makes_the_same_bytes_also_once_stored() -> None:
    again = ReportData.model_validate_json(DATA.model_dump_json(by_alias=True))
    assert report_files(again) == report_files(DATA)
    recap = RecapData.model_validate(RECAP_DATA)
    assert report_files(RecapData.model_validate_json(recap.model_dump_json(by_alias=True))) == report_files(recap)


def test_the_hash_is_that_of_the_list_which_sha256sum_prints() -> None:
    files = {"b.csv": b"2", "a.csv": b"1"}
    listing = f"{hashlib.sha256(b'1').hexdigest()}  a.csv\n{hashlib.sha256(b'2').hexdigest()}  b.csv\n"
    assert data_hash(files) == hashlib.sha256(listing.encode()).hexdigest()


def test_who_signs_and_who_objects_changes_no_hash() -> None:
    other = DATA.model_copy(update={"parties": DATA.parties.model_copy(update={"place": "X"}), "objections": []})
    assert data_hash(report_files(other)) == data_hash(report_files(DATA))


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", 'a"b,c\nd', "#*<b>$\\"])
def test_text_in_a_csv_is_no_formula_and_no_new_cell(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(report_files(with_site(service_no=text))["sites.csv"].decode(), newline=""))
    assert row["service_no"].removeprefix("'") == text
    assert not row["service_no"].startswith(("=", "@"))


def test_each_figure_that_changed_is_told_once() -> None:
    other = with_site(counted_down_s=16_000, fee_idr=None, verdict=SlaVerdict.MISSED)
    told = [each["en"] for each in changes(DATA, other)]
    code = DATA.sites[0].code
    assert told == [
        f"{code}: counted down 16,760 s became 16,000 s",
        f"{code}: met became missed",
        f"{code}: fee Rp 4,500,000 became Rp 0",
    ]
    assert [each["id"] for each in changes(DATA, with_site(verdict=None))] == [
        f"{code}: tercapai menjadi tanpa masa layanan"
    ]
    assert changes(DATA, DATA) == []
    gone = DATA.model_copy(update={"sites": []})
    assert [each["en"] for each in changes(DATA, gone)] == [f"{code}: no longer in the report"]
    assert [each["en"] for each in changes(gone, DATA)] == [f"{code}: new in the report"]


def test_many_changes_are_counted() -> None:
    lines = [DATA.sites[0].model_copy(update={"code": f"64.02.05.2003-{n:03}"}) for n in range(MAX_CHANGES + 5)]
    told = changes(DATA.model_copy(update={"sites": []}), DATA.model_copy(update={"sites": lines}))
    assert len(told) == MAX_CHANGES + 1
    assert told[-1]["en"] == "and 5 more changes"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**6)), max_size=6))
def test_the_fee_of_a_report_is_the_exact_fees_rounded_once(fees: list[tuple[int, int]]) -> None:
    stretch = DATA.sites[0].stretches[0]
    lines = [
        DATA.sites[0].model_copy(
            update={"stretches": [stretch.model_copy(update={"fee": f"{numerator}/{denominator}"})]}
        )
        for numerator, denominator in fees
    ]
    totals = add_up(lines)
    if not fees:
        assert totals.fee_idr is None
        return
    exact = sum(numerator / denominator for numerator, denominator in fees)
    assert totals.fee_idr is not None
    assert abs(totals.fee_idr - exact) <= 0.5 + 1e-6 * exact
    assert totals.payable_idr == totals.fee_idr - totals.restitution_idr
    assert totals.service_s == totals.good_s + totals.counted_down_s + totals.unknown_s + sum(totals.excluded.values())


def test_the_shortest_term_has_a_working_day_in_it() -> None:
    for day in (27, 28, 29):  # from Friday to Sunday
        assert allowed_days(datetime(2026, 11, day, 9, tzinfo=WITA))[0] == date(2026, 11, 30)
    assert allowed_days(datetime(2026, 11, 30, 9, tzinfo=WITA)) == (date(2026, 12, 1), date(2027, 1, 29))


def test_the_term_ends_with_a_working_day() -> None:
    friday = datetime(2026, 11, 27, 9, tzinfo=WITA)
    assert after_working_days(friday, 1).astimezone(WITA).date() == date(2026, 12, 1), "midnight after Monday"
    assert default_until(friday).astimezone(WITA) == datetime(2026, 12, 5, tzinfo=WITA)
    for day in range(7):
        assert (default_until(friday + timedelta(days=day)) - timedelta(seconds=1)).astimezone(WITA).weekday() < 5
