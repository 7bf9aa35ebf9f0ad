"""What changed between two data sets of the same contract and month, in words. Pure."""

from collections.abc import Callable, Iterator

from app.contracts.rupiah import count_in_words, rupiah_in_words
from app.core.words import Bilingual, in_words
from app.registry.indonesian import VERDICTS
from app.reports.figure_schemas import ReportSite
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData
from app.reports.terms_record import terms_changes

MAX_CHANGES = 200  # that are told one by one

Lines = dict[tuple[str, str], ReportSite]


def changes(before: ReportData | RecapData, after: ReportData | RecapData) -> list[Bilingual]:
    """Return what changed: the total restitution, terms, and each figure of a line, of a year of a month."""
    found = []
    sums = before.totals.restitution_idr, after.totals.restitution_idr
    if sums[0] != sums[1]:
        found.append(in_words("Restitution in all: {before} became {after}", **_pair(rupiah_in_words, *sums)))
    found += terms_changes(before.contract.terms, after.contract.terms)
    if isinstance(before, RecapData) and isinstance(after, RecapData):
        found += _month_changes(before, after)
    elif isinstance(before, ReportData) and isinstance(after, ReportData):
        found += _line_changes(_lines(before), _lines(after))
    if len(found) <= MAX_CHANGES:
        return found
    return [*found[:MAX_CHANGES], in_words("and {count} more changes", count=len(found) - MAX_CHANGES)]


def _month_changes(before: RecapData, after: RecapData) -> Iterator[Bilingual]:
    numbers = {month.month: month.number for month in before.months}
    for month in after.months:
        if (old := numbers.get(month.month)) != month.number:
            yield in_words("{month}: report {number}", month=month.month, number=f"{old or '-'} → {month.number}")


def _lines(data: ReportData) -> Lines:
    return {(line.code, line.link_role.value): line for line in data.sites}


def _line_changes(before: Lines, after: Lines) -> Iterator[Bilingual]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if new is None:
            yield in_words("{site}: no longer in the report", site=key[0])
        elif old is None:
            yield in_words("{site}: new in the report", site=key[0])
        else:
            yield from _figure_changes(old, new)


def _figure_changes(old: ReportSite, new: ReportSite) -> Iterator[Bilingual]:
    site = new.code
    if old.service_s != new.service_s:
        seconds = _pair(count_in_words, old.service_s, new.service_s)
        yield in_words("{site}: service {before} s became {after} s", site=site, **seconds)
    if old.counted_down_s != new.counted_down_s:
        seconds = _pair(count_in_words, old.counted_down_s, new.counted_down_s)
        yield in_words("{site}: counted down {before} s became {after} s", site=site, **seconds)
    if old.excluded != new.excluded:
        seconds = _pair(count_in_words, sum(old.excluded.values()), sum(new.excluded.values()))
        yield in_words("{site}: excluded {before} s became {after} s", site=site, **seconds)
    if old.unknown_s != new.unknown_s:
        seconds = _pair(count_in_words, old.unknown_s, new.unknown_s)
        yield in_words("{site}: unknown {before} s became {after} s", site=site, **seconds)
    if old.verdict != new.verdict:
        verdicts = {"before": _verdict_in_words(old), "after": _verdict_in_words(new)}
        yield in_words("{site}: {before} became {after}", site=site, **verdicts)
    if old.fee_idr != new.fee_idr:
        fees = _pair(rupiah_in_words, old.fee_idr or 0, new.fee_idr or 0)
        yield in_words("{site}: fee {before} became {after}", site=site, **fees)
    if old.restitution.idr != new.restitution.idr:
        amounts = _pair(rupiah_in_words, old.restitution.idr, new.restitution.idr)
        yield in_words("{site}: restitution {before} became {after}", site=site, **amounts)


def _verdict_in_words(line: ReportSite) -> Bilingual:
    if line.verdict is None:
        return in_words("no service time")
    return {"id": VERDICTS[line.verdict], "en": line.verdict.value}


def _pair(write: Callable[[int], Bilingual], before: int, after: int) -> dict[str, Bilingual]:
    return {"before": write(before), "after": write(after)}
