"""docs/restitution.md computes months by hand: each example comes out as the page says, in both languages."""

import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.contracts.fee_stretch import CountedOutage, FeeStretch
from app.contracts.restitution import Restitution, compute_restitution
from app.contracts.restitution_rule import RestitutionRule, RuleKind, UnknownAs, check
from app.core.clock import WITA
from app.settings import ROOT

FILES = {"en": "restitution.md", "id": "restitution.id.md"}
EXAMPLE = re.compile(r"^```json example\n(.*?)^```\n\n((?:^> [^\n]*\n)+)", re.DOTALL | re.MULTILINE)
MONTH_S, HOUR_S = 31 * 86_400, 3_600


def examples(language: str) -> list[tuple[dict[str, Any], str]]:
    text = (ROOT / "docs" / FILES[language]).read_text(encoding="utf-8")
    found = [(json.loads(fields), quoted) for fields, quoted in EXAMPLE.findall(text)]
    assert len(found) == text.count("```json")
    return [(fields, " ".join(line.removeprefix("> ") for line in quoted.splitlines())) for fields, quoted in found]


def computed(example: dict[str, Any]) -> Restitution:
    first = datetime(2026, 10, 1, tzinfo=WITA)
    outages = [
        CountedOutage(first + timedelta(days=n), round(hours * HOUR_S)) for n, hours in enumerate(example["outages_h"])
    ]
    down_s, unknown_s = sum(each.counted_s for each in outages), example.get("unknown_h", 0) * HOUR_S
    rule = RestitutionRule.model_validate(example["restitution"])
    assert [*check(rule)] == []
    month = FeeStretch(
        date(2026, 1, 1),
        MONTH_S,
        MONTH_S,
        MONTH_S - down_s - unknown_s,
        down_s,
        {},
        unknown_s,
        Decimal(str(example.get("sla_target_pct", 99))),
        Fraction(example["fee_idr"]),
        rule,
        Decimal(example["min_coverage_pct"]) if "min_coverage_pct" in example else None,
        outages,
    )
    return compute_restitution([month])


@pytest.mark.parametrize("language", FILES)
def test_each_example_comes_out_as_the_page_says(language: str) -> None:
    for example, quoted in examples(language):
        assert " ".join(step[language] for step in computed(example).steps) == quoted


def test_both_languages_have_the_same_examples_of_every_rule_and_reading() -> None:
    english, indonesian = ([example for example, _ in examples(language)] for language in FILES)
    assert english == indonesian
    assert {example["restitution"]["kind"] for example in english} == set(RuleKind)
    readings = {example["restitution"].get("unknown", "unproven") for example in english}
    assert readings == set(UnknownAs) - {UnknownAs.AS_GOOD}
