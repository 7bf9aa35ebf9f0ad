"""The pages of the method say what is counted: numbers, examples, sample sizes, reasons, in both languages."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from app.compliance import attested
from app.compliance.method import METHODS, METODE_V1
from app.compliance.sample_draw import seed_of
from app.compliance.shares import Share, judge_share
from app.compliance.speed_results import OUR_FAILURES
from app.settings import ROOT

PAGES = [ROOT / "docs/metode.md", ROOT / "docs/metode.en.md"]
RESULTS = {
    "passes": "passes",
    "fails": "fails",
    "undetermined": "undetermined",
    "lulus": "passes",
    "tidak lulus": "fails",
    "belum dapat disimpulkan": "undetermined",
}


def rows(page: Path, cells: int) -> list[list[str]]:
    """Return the rows of numbers of the tables with so many columns."""
    found = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if re.match(r"\| \d", line)]
    return [row for row in found if len(row) == cells]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_numbers_of_a_page_are_those_of_the_method(page: Path) -> None:
    block = re.search(r"```toml metode\n(.*?)```", page.read_text(), re.DOTALL)
    assert block is not None
    said = tomllib.loads(block[1])
    for name, value in said.items():
        counted = getattr(METODE_V1, name)
        assert value == (list(counted) if isinstance(counted, tuple) else counted), name
    assert {field.name for field in fields(METODE_V1)} - said.keys() == {"sample_of"}
    for method in METHODS:
        assert f"| {method.version} |" in page.read_text()
    text = page.read_text().replace(".", "").replace(",", "")
    for number in (METODE_V1.least_tests, METODE_V1.least_looks, METODE_V1.least_looks_of_site):
        assert re.search(rf"\b{number}\b", text), number


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_are_what_comes_out(page: Path) -> None:
    examples = rows(page, 7)
    assert len(examples) == 4
    for counted, passed, contested, pct, worst, best, result in examples:
        share = Share(int(counted), int(passed), int(contested))
        said = [float(number.replace(",", ".")) for number in (pct, worst, best)]
        assert said == [share.pct, share.worst_pct, share.best_pct]
        judged = judge_share(
            share, required_pct=METODE_V1.tests_pct, least=METODE_V1.least_tests, sites=1, measured=1, sites_pct=80
        )
        assert judged.result == RESULTS[result]
    sizes = rows(page, 2)
    assert len(sizes) == 5
    assert [int(drawn) for _, drawn in sizes] == [METODE_V1.sample_size(int(sites)) for sites, _ in sizes]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_reason_is_explained_and_every_failure_of_ours_named(page: Path) -> None:
    text = page.read_text()
    reasons = [value for name, value in vars(attested).items() if name.isupper()]
    assert len(reasons) == 9
    assert [word for word in (*reasons, *OUR_FAILURES) if f"`{word}`" not in text] == []


def test_the_seed_is_what_the_page_s_command_prints() -> None:
    """`printf '%s\\n%s\\n%s' 'Metode v1' '2027-Q1' 'TEKS PUBLIK' | sha256sum`."""
    assert seed_of(METODE_V1, "2027-Q1", "TEKS PUBLIK") == (
        "e02ad9742550121b9f9822eb63fadc6d5ae021397cdc89ea6b31799adb3a27fa"
    )
