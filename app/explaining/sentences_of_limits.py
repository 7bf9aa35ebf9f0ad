"""Says of a site that answers by which limits of its technology it is normal, or degraded."""

from app.core.words import Bilingual, in_words, moment_in_words, number_in_words
from app.explaining.degradation import DegradedBy, degraded_by
from app.explaining.readings import Evidence
from app.explaining.second import Second
from app.explaining.vantage_sight import lost_in_part
from app.registry.indonesian import TECHNOLOGIES

ENGLISH_TECHNOLOGIES = {
    "fiber": "fiber",
    "radio": "radio",
    "cellular": "cellular",
    "leo": "low-orbit satellite",
    "geo": "geostationary satellite",
}


def up(second: Second, since: Bilingual) -> Bilingual:
    assert second.profile is not None
    return in_words(
        "Normal since {since}: it answers, with losses below {loss_pct}% and round trips of at most {rtt_ms} ms, the "
        "limits of {technology}.",
        since=since,
        loss_pct=number_in_words(second.profile.profile.loss_pct),
        rtt_ms=second.profile.profile.rtt_ms,
        technology=_technology(second),
    )


def degraded(second: Second, evidence: Evidence, since: Bilingual) -> Bilingual:
    assert second.profile is not None
    assert second.segment is not None
    limits = second.profile.profile
    beginning = evidence.together or evidence.beginning
    if lost_in_part(beginning, second.segment.started_at) is not None:
        return in_words("Degraded since {since}: two looks in a row from one place got no answer.", since=since)
    by = degraded_by([one for one in beginning if one.is_evidence], second.segment.started_at, limits)
    if by is None:
        return in_words(
            "Degraded since {since}: it answers, but loses {loss_pct}% of packets or more, or takes over {rtt_ms} ms, "
            "the limits of {technology}.",
            since=since,
            loss_pct=number_in_words(limits.loss_pct),
            rtt_ms=limits.rtt_ms,
            technology=_technology(second),
        )
    return _degraded_by(second, by, since)


def _degraded_by(second: Second, by: DegradedBy, since: Bilingual) -> Bilingual:
    assert second.profile is not None
    limits, until, technology = second.profile.profile, moment_in_words(by.until), _technology(second)
    measures = by.measures
    if measures.is_lossy:
        return in_words(
            "Degraded since {since}: of the ten looks up to {until} {lost} of {sent} packets were lost, {pct}%; for "
            "{technology} degraded begins at {loss_pct}%.",
            since=since,
            until=until,
            lost=measures.sent - measures.received,
            sent=measures.sent,
            pct=number_in_words(int(1000 * (measures.sent - measures.received) / measures.sent) / 10),
            technology=technology,
            loss_pct=number_in_words(limits.loss_pct),
        )
    return in_words(
        "Degraded since {since}: the median round trip of the three looks up to {until} was {median_ms} ms; for "
        "{technology} degraded begins above {rtt_ms} ms.",
        since=since,
        until=until,
        median_ms=number_in_words((measures.median_us or 0) // 100 / 10),
        technology=technology,
        rtt_ms=limits.rtt_ms,
    )


def _technology(second: Second) -> Bilingual:
    assert second.profile is not None
    technology = second.profile.technology
    return {"id": TECHNOLOGIES[technology], "en": ENGLISH_TECHNOLOGIES[technology]}
