"""The hand-computed months of `cases/*.toml`, read."""

import tomllib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from app.contracts.fee_stretch import CountedOutage, FeeStretch
from app.contracts.fees import FeePiece, Fees, FeeTerms, share_fees
from app.contracts.restitution_rule import RestitutionRule
from app.core.clock import WITA
from app.core.periods import Period, whole_month
from app.registry.models import FeePer

FILES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
SIGNED = date(2026, 1, 1)
DAY_S = 86_400


class CaseMonth:
    def __init__(self, file: Path) -> None:
        self.raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        self.sites: list[dict[str, Any]] = self.raw["sites"]

    @property
    def first(self) -> date:
        return date.fromisoformat(f"{self.raw['month']}-01")

    @property
    def period(self) -> Period:
        return whole_month(self.first)

    @cached_property
    def terms(self) -> dict[date, dict[str, Any]]:
        """Return all terms by the day they start on."""
        terms = {
            SIGNED: {"monthly_fee_idr": None, "restitution": None, "min_coverage_pct": None, **self.raw["contract"]}
        }
        for addendum in self.raw.get("addenda", []):
            started_on = date.fromisoformat(addendum["effective_from"])
            changed = {name: value for name, value in addendum.items() if name != "effective_from"}
            terms[started_on] = terms[max(terms)] | changed
        return terms

    def stretches(self, site: dict[str, Any]) -> list[FeeStretch]:
        """Return a site's stretches, as they were counted by hand."""
        return [self._stretch(stretch) for stretch in site["stretches"]]

    def _stretch(self, stretch: dict[str, Any]) -> FeeStretch:
        terms = self.terms[stretch["terms_on"]]
        excluded, unknown_s = stretch.get("excluded", {}), stretch.get("unknown_s", 0)
        rule, least = terms["restitution"], terms["min_coverage_pct"]
        began = datetime.combine(stretch["terms_on"], datetime.min.time(), WITA)
        return FeeStretch(
            stretch["terms_on"],
            stretch["covered_s"],
            stretch["service_s"],
            stretch["service_s"] - stretch["counted_down_s"] - unknown_s - sum(excluded.values()),
            stretch["counted_down_s"],
            excluded,
            unknown_s,
            Decimal(str(terms["sla_target_pct"])),
            Fraction(stretch["fee"]),
            None if rule is None else RestitutionRule.model_validate(rule),
            None if least is None else Decimal(str(least)),
            [CountedOutage(began + timedelta(hours=n), counted_s) for n, counted_s in enumerate(stretch["outages"])],
        )

    def shared_fees(self) -> Fees:
        """Return the fees by what the terms and the sites' days say, a site by its place in the list."""
        terms = [
            FeeTerms(started_on, seconds, of_day["monthly_fee_idr"], FeePer(of_day["fee_per"]))
            for started_on, of_day in self.terms.items()
            if (seconds := self._seconds(started_on, SIGNED, None))
        ]
        return share_fees(terms, [*self._pieces()], self._seconds(SIGNED, SIGNED, None, every=True))

    def _pieces(self) -> Iterator[FeePiece]:
        for number, site in enumerate(self.sites):
            for days in site["days"]:
                for started_on in self.terms:
                    if seconds := self._seconds(started_on, days["from"], days.get("to")):
                        yield FeePiece(number, started_on, seconds, days.get("monthly_fee_idr"))

    def _seconds(self, started_on: date, start: date, until: date | None, *, every: bool = False) -> int:
        """Return the seconds of the month from `start` to `until` under the terms of a day, or under any."""
        later = [] if every else [day for day in self.terms if day > started_on]
        month_end = (self.first + timedelta(days=32)).replace(day=1)
        low, high = max(started_on, start, self.first), min([month_end, until or date.max, *later])
        return max(0, (high - low).days) * DAY_S
