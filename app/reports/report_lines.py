"""A site's line in a berita acara: its stretches by terms with their fees, what is due, and notes. Pure."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from app.availability.closed_verdicts import Figures
from app.availability.intervals import clip
from app.availability.percent import percent
from app.availability.site_verdicts import last_place
from app.contracts import restitution_rule
from app.contracts.fees import Fees
from app.contracts.restitution import CountedOutage, FeeStretch, compute_restitution
from app.contracts.restitution_rule import RuleKind
from app.contracts.rupiah import count_in_words, round_half_up
from app.core.clock import WITA, from_slot, to_slot
from app.core.periods import Period
from app.core.words import Bilingual, day_in_words, in_words
from app.registry import regions
from app.registry.configuration import ConfigurationInForce
from app.registry.models import ContractTerms
from app.reports.closed_lines import ClosedLine

SECONDS = ("covered_s", "service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")
DISTRICT, SUBDISTRICT = 5, 8  # digits and dots of their codes


@dataclass(frozen=True)
class MonthOfContract:
    """What all lines of a report share."""

    contract_id: int
    period: Period
    terms: Mapping[date, ContractTerms]
    fees: Fees
    sites: Mapping[int, Any]  # rows of code, name, service_no
    providers: Mapping[int, str]  # names

    @cached_property
    def fees_of_line(self) -> Mapping[Hashable, Mapping[date, Fraction | None]]:
        """Return the fees by site and link, and by the day on which terms began."""
        by_line: dict[Hashable, dict[date, Fraction | None]] = {}
        for (line, terms_on), fee in self.fees.of_stretch.items():
            by_line.setdefault(line, {})[terms_on] = fee
        return by_line


def report_line(month: MonthOfContract, line: ClosedLine) -> dict[str, Any]:
    """Return the fields of a ReportSite."""
    site, figures = month.sites[line.site_id], line.figures
    stretches = _stretches(month, line)
    fees = [None if each["fee"] is None else Fraction(each["fee"]) for each in stretches]
    known = [fee for fee in fees if fee is not None]
    return {
        "code": site.code,
        "name": site.name,
        "link_role": line.link_role,
        "service_no": site.service_no,
        **_place(month, line),
        "stretches": stretches,
        "fee_idr": round_half_up(sum(known, Fraction(0))) if known else None,
        **_seconds(figures | {"covered_s": figures["covered"]["seconds"]}),
        **_percentages(figures),
        "verdict": figures["verdict"],
        "restitution": _restitution(month, line, stretches, fees),
        "notes": [*_notes(month, line)],
    }


def _place(month: MonthOfContract, line: ClosedLine) -> dict[str, Any]:
    place = last_place(line.configurations, *_covered(month, line))
    names, village = regions.names(), place.village_code
    return {
        "village_code": village,
        "village": names[village],
        "subdistrict": names[village[:SUBDISTRICT]],
        "district": names[village[:DISTRICT]],
        "technology": place.technology,
    }


def _covered(month: MonthOfContract, line: ClosedLine) -> tuple[int, int]:
    covered = line.figures["covered"]
    return _slot(covered["from"]), _slot(covered["to"])


def _slot(moment: datetime | str) -> int:
    return to_slot(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)


def _seconds(figures: Figures) -> dict[str, Any]:
    return {name: figures[name] for name in SECONDS} | {"excluded": dict(sorted(figures["excluded"].items()))}


def _percentages(figures: Figures) -> dict[str, Any]:
    names = ("availability_pct", "worst_pct", "best_pct", "target_pct", "required_pct", "missed_by_s")
    known_s = figures["service_s"] - figures["unknown_s"]
    return {name: figures.get(name) for name in names} | {"coverage_pct": percent(known_s, figures["service_s"])}


def _stretches(month: MonthOfContract, line: ClosedLine) -> list[dict[str, Any]]:
    """Return the line by terms; a verdict under one set of terms has none of its own, so it is one."""
    figures = line.figures
    found = figures["stretches"]
    if not found:
        covered = figures["covered"]
        terms_on = line.live.terms_on if line.live is not None else _terms_on(month, _slot(covered["from"]))
        one = {"from": covered["from"], "to": covered["to"], "terms_on": terms_on, "covered_s": covered["seconds"]}
        found = [figures | one]
    return [_stretch(month, line, each, alone=len(found) == 1) for each in found]


def _terms_on(month: MonthOfContract, slot: int) -> date:
    day = from_slot(slot).astimezone(WITA).date()
    return max((each for each in month.terms if each <= day), default=min(month.terms))


def _stretch(month: MonthOfContract, line: ClosedLine, figures: Figures, *, alone: bool) -> dict[str, Any]:
    terms_on = date.fromisoformat(str(figures["terms_on"]))
    fee = _fee(month.fees_of_line.get((line.site_id, line.link_role), {}), None if alone else terms_on)
    return {
        "from": figures["from"],
        "to": figures["to"],
        "terms_on": terms_on,
        **_seconds(figures),
        "target_pct": figures["target_pct"] or float(month.terms[terms_on].sla_target_pct),
        "fee": None if fee is None else f"{fee.numerator}/{fee.denominator}",
    }


def _fee(of_line: Mapping[date, Fraction | None], terms_on: date | None) -> Fraction | None:
    """Return the fee of a line's days under these terms, of all its days without them; None if any has none."""
    found = [fee for day, fee in of_line.items() if terms_on in {None, day}]
    known = [fee for fee in found if fee is not None]
    return sum(known, Fraction(0)) if known and len(known) == len(found) else None


def _restitution(
    month: MonthOfContract, line: ClosedLine, stretches: Sequence[dict[str, Any]], fees: Sequence[Fraction | None]
) -> dict[str, Any]:
    found = compute_restitution(
        [
            _fee_stretch(month.terms[stretch["terms_on"]], stretch, fee, line.outages)
            for stretch, fee in zip(stretches, fees, strict=True)
        ]
    )
    return {name: getattr(found, name) for name in ("idr", "least_idr", "most_idr", "status", "steps")}


def _fee_stretch(
    terms: ContractTerms, stretch: dict[str, Any], fee: Fraction | None, outages: Iterable[dict[str, Any]]
) -> FeeStretch:
    return FeeStretch(
        **{name: stretch[name] for name in SECONDS if name != "claimed_s"},
        terms_on=stretch["terms_on"],
        excluded=stretch["excluded"],
        target_pct=Decimal(str(stretch["target_pct"])),
        fee=fee,
        rule=restitution_rule.read(terms.restitution),
        min_coverage_pct=terms.min_coverage_pct,
        outages=[
            CountedOutage(each["started_at"], each["counted_s"], each["unknown_s"])
            for each in outages
            if each["terms_on"] == stretch["terms_on"]
        ],
    )


def _notes(month: MonthOfContract, line: ClosedLine) -> Iterator[Bilingual]:
    start, end = _covered(month, line)
    if start > to_slot(month.period.start):
        yield in_words("Under this contract from {day} on.", day=_day_in_words(start))
    if end < to_slot(month.period.end):
        yield in_words("Under this contract until {day}.", day=_day_in_words(end - 1))
    yield from _moves(month, line)
    if line.closed_at is None:
        yield in_words("Out of service all the time.")
    elif out_s := _out_of_service_s(line, start, end):
        yield in_words("Out of service for {seconds} s: no service time.", seconds=count_in_words(out_s))
    if _is_cut(month, line):
        yield in_words("An outage goes on beyond the month: each month counts its own part, anew.")
    if line.published is not None:
        yield in_words(
            "Corrected since the month was closed ({reason}): counted down {before} s then, {after} s now.",
            reason=line.figures["corrected_because"],
            before=count_in_words(line.published["counted_down_s"]),
            after=count_in_words(line.figures["counted_down_s"]),
        )


def _out_of_service_s(line: ClosedLine, start: int, end: int) -> int:
    """Return the seconds under the contract in which the site was out of service: nothing is measured then."""
    return sum(to - since for since, to, each in clip(line.configurations, start, end) if not each.active)


def _is_cut(month: MonthOfContract, line: ClosedLine) -> bool:
    """Whether an outage crosses the month's bounds under a rule by which its length decides."""
    terms = [month.terms[each["terms_on"]] for each in line.outages if each["counted_s"] and _crosses(month, each)]
    rules = [restitution_rule.read(each.restitution) for each in terms]
    return any(rule is not None and rule.kind is RuleKind.PER_INCIDENT for rule in rules)


def _crosses(month: MonthOfContract, outage: dict[str, Any]) -> bool:
    ended_at = outage["ended_at"]
    return outage["started_at"] < month.period.start or ended_at is None or ended_at > month.period.end


def _moves(month: MonthOfContract, line: ClosedLine) -> Iterator[Bilingual]:
    """Yield what changed of the site within the month."""
    bounds = to_slot(month.period.start), to_slot(month.period.end)
    before: ConfigurationInForce | None = None
    for start, _, each in clip(line.configurations, *bounds):
        if before is not None and before.active and each.active:
            day = _day_in_words(start)
            if each.provider_id != before.provider_id:
                names = month.providers[before.provider_id], month.providers[each.provider_id]
                yield in_words(
                    "Changed provider on {day}: {before} to {after}.", day=day, before=names[0], after=names[1]
                )
            if each.village_code != before.village_code:
                village = regions.names()[before.village_code]
                yield in_words("Moved here on {day} from {village}.", day=day, village=village)
        before = each


def _day_in_words(slot: int) -> Bilingual:
    return day_in_words(from_slot(slot).astimezone(WITA).date())
