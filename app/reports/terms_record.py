"""When, by whom and why the terms of a report's contract were recorded, and what differs between two. Pure."""

from collections.abc import Iterator, Sequence

from app.core.words import Bilingual, day_in_words, in_words, joined, moment_in_words, number_in_words
from app.reports.paper_schemas import ReportTerms


def record_in_words(terms: ReportTerms) -> Bilingual | None:
    """Return when, by whom and why they were recorded; None where that was not kept."""
    if terms.recorded_at is None:
        return None
    parts = [in_words("recorded on {at}", at=moment_in_words(terms.recorded_at))]
    if terms.recorded_by is not None:
        parts.append(in_words("by {who}", who=terms.recorded_by))
    if terms.recorded_because is not None:
        parts.append(in_words("reason: {reason}", reason=terms.recorded_because))
    return joined(parts, ", ")


def terms_changes(before: Sequence[ReportTerms], after: Sequence[ReportTerms]) -> Iterator[Bilingual]:
    """Yield a sentence for each of the dated terms that are new, gone, or recorded anew."""
    old, new = ({terms.terms_on: terms for terms in each} for each in (before, after))
    for day in sorted(old.keys() | new.keys()):
        was, is_ = old.get(day), new.get(day)
        if is_ is None:
            yield in_words("The terms from {day} do not apply any more", day=day_in_words(day))
        elif was is None:
            sentence = in_words("New terms from {day}: {after}", day=day_in_words(day), after=_joined(_sentences(is_)))
            yield _with_record(sentence, is_)
        elif was.recorded_at is not None and was.recorded_at != is_.recorded_at:
            yield _difference(was, is_)


def _difference(was: ReportTerms, is_: ReportTerms) -> Bilingual:
    before, after = _sentences(was), _sentences(is_)
    gone = [sentence for sentence in before if sentence not in after]
    came = [sentence for sentence in after if sentence not in before]
    if not gone and not came:
        return _with_record(in_words("The terms from {day} were recorded anew", day=day_in_words(is_.terms_on)), is_)
    sentence = in_words(
        "The terms from {day} changed: {before} became {after}",
        day=day_in_words(is_.terms_on),
        before=_joined(gone),
        after=_joined(came),
    )
    return _with_record(sentence, is_)


def _with_record(sentence: Bilingual, terms: ReportTerms) -> Bilingual:
    record = record_in_words(terms)
    return sentence if record is None else in_words("{sentence} ({record})", sentence=sentence, record=record)


def _sentences(terms: ReportTerms) -> list[Bilingual]:
    hours = in_words("service all day")
    if terms.service_from is not None:
        hours = in_words("service hours {start} to {end}", start=terms.service_from, end=terms.service_to)
    return [
        in_words("target {pct}%", pct=number_in_words(terms.sla_target_pct)),
        hours,
        *(words.model_dump(include={"id", "en"}) for words in (*terms.leaves_out, *terms.paid_back)),
    ]


def _joined(sentences: Sequence[Bilingual]) -> Bilingual:
    return joined(sentences, "; ") if sentences else in_words("(nothing)")
