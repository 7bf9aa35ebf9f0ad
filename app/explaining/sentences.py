"""Says in both languages why a second has its state: the rule, the readings and limits behind it, what else decides."""

from collections.abc import Iterator, Sequence

from app.availability.contract_words import REASONS
from app.core.words import Bilingual, duration_in_words, in_words, moment_in_words
from app.explaining.judged_reading import JudgedReading
from app.explaining.readings import Evidence
from app.explaining.second import ParentState, Second
from app.explaining.sentences_of_contracts import contract_sentence
from app.explaining.sentences_of_limits import degraded, up
from app.explaining.vantage_sight import sight_words
from app.incidents.near_words import near_words
from app.judging.judge import BAD, GOOD
from app.measurements.near import NearSeen
from app.registry.models import Lifecycle, State, UnknownReason
from probes.contract import SILENCE, Outcome


def sentences(
    second: Second,
    evidence: Evidence,
    *,
    near: NearSeen | None,
    settled: bool,
    readings_kept: bool,
) -> list[Bilingual]:
    """Return the sentences, the decisive one first. `near`: what its device saw near itself, and when."""
    return list(_sentences(second, evidence, near=near, settled=settled, readings_kept=readings_kept))


def _sentences(
    second: Second,
    evidence: Evidence,
    *,
    near: NearSeen | None,
    settled: bool,
    readings_kept: bool,
) -> Iterator[Bilingual]:
    if second.segment is None:
        yield _out_of_service(second)
    else:
        yield from _maintenance(second)
        yield _state(second, evidence)
        if evidence.sight is not None:
            yield from sight_words(evidence.sight, evidence.labels)
        if second.kind == "inactive":
            yield in_words(
                "It is present only at times, and this is outside its public hours: that nobody heard it counts "
                "neither for nor against it."
            )
        yield from _bounds(second)
        if near is not None:
            yield in_words(
                "By its device's own account, at {at}: {told}.", at=moment_in_words(near.at), told=near_words(near.near)
            )
        yield from _single_loss(second, evidence)
        yield from _blindness(second, evidence)
    yield from _people(second)
    for name, counted in second.contracts:
        yield contract_sentence(name.number, counted)
    if second.segment is not None and not settled:
        yield in_words("Readings that are still on their way may change this second.")
    if second.segment is not None and not readings_kept:
        yield in_words("Single readings of that time are no longer kept.")
    if evidence.is_damaged:
        yield in_words("Readings of that hour are damaged and cannot be shown; what was judged from them stays.")


def _out_of_service(second: Second) -> Bilingual:
    configuration = second.configuration
    if configuration is None:
        return in_words("Not registered yet: nothing was measured then.")
    if configuration.lifecycle is Lifecycle.PLANNED:
        return in_words("Planned: not in service yet, so nothing counts.")
    if configuration.lifecycle is Lifecycle.SUSPENDED:
        return in_words("Suspended: out of service then, so nothing counts.")
    if configuration.lifecycle is Lifecycle.RETIRED:
        return in_words("Retired: no longer in service then, so nothing counts.")
    return in_words("Nothing was measured then.")


def _maintenance(second: Second) -> Iterator[Bilingual]:
    for start, end in second.maintenance:
        yield in_words(
            "Under planned maintenance from {start} to {end}: whatever the state, these seconds count as maintenance.",
            start=moment_in_words(start),
            end=moment_in_words(end),
        )


def _state(second: Second, evidence: Evidence) -> Bilingual:
    segment = second.segment
    assert segment is not None
    if segment.claim is not None:
        return _claimed(second)
    since = moment_in_words(segment.started_at)
    if segment.state is State.UP:
        return up(second, since)
    if segment.state is State.DEGRADED:
        return degraded(second, evidence, since)
    if segment.state is State.DOWN:
        return _down(second, since)
    if segment.state is State.UNREACHABLE:
        return in_words(
            "Parent down since {since}: no look got an answer, while {parent}, which it depends on, was out.",
            since=since,
            parent=_parent_name(second.parent),
        )
    return _unknown(segment.unknown_reason, since)


def _down(second: Second, since: Bilingual) -> Bilingual:
    segment = second.segment
    assert segment is not None
    if second.evidence == SILENCE:
        return in_words(
            "Down since {since}: its device's report, due then, and the next one did not come, while those of other "
            "sites did.",
            since=since,
        )
    if segment.confirmed_at is None or segment.confirmed_at <= segment.started_at:
        return in_words("Down since {since}: no look got an answer.", since=since)
    return in_words(
        "Down since {since}: two looks in a row got no answer, the second one at {confirmed}.",
        since=since,
        confirmed=moment_in_words(segment.confirmed_at),
    )


def _unknown(reason: UnknownReason | None, since: Bilingual) -> Bilingual:
    if reason is UnknownReason.NEVER_SEEN:
        return in_words("Unknown: it had never answered until then, and a mistyped address is no outage.")
    if reason is UnknownReason.BLIND:
        return in_words("Unknown since {since}: we could not see, which is no outage of the site.", since=since)
    if reason is UnknownReason.STOPPED:
        return in_words("Unknown since {since}: our service did not run, which is no outage of the site.", since=since)
    return in_words(
        "Unknown since {since}: no reading is recent enough to show its state, and silence proves nothing.", since=since
    )


def _claimed(second: Second) -> Bilingual:
    segment = second.segment
    assert segment is not None
    assert segment.claim is not None
    received = moment_in_words(segment.claim.received_at)
    if segment.proven_state in BAD:
        return in_words(
            "Unknown since {since}: no look got an answer, but its device reported at {received} that it was well; "
            "nobody heard it at the time.",
            since=moment_in_words(segment.started_at),
            received=received,
        )
    return in_words(
        "Counts as normal since {since}: nobody measured it, but its device reported at {received} that it was well.",
        since=moment_in_words(segment.started_at),
        received=received,
    )


def _bounds(second: Second) -> Iterator[Bilingual]:
    segment = second.segment
    assert segment is not None
    if segment.state in BAD and segment.last_ok_at is not None:
        yield in_words("It last answered at {at}.", at=moment_in_words(segment.last_ok_at))
    if not second.lasts:
        length = duration_in_words(round((segment.ended_at - segment.started_at).total_seconds()))
        ended_at = moment_in_words(segment.ended_at)
        if segment.state in BAD and segment.first_ok_after is not None:
            yield in_words("It answered again at {ended_at}, after {length}.", ended_at=ended_at, length=length)
        else:
            yield in_words("That ended at {ended_at}, after {length}.", ended_at=ended_at, length=length)


def _single_loss(second: Second, evidence: Evidence) -> Iterator[Bilingual]:
    """Say why the newest look, which was lost, changes nothing."""
    assert second.segment is not None
    if evidence.sight is not None:
        return  # from where it was lost is said
    judged = [one for one in evidence.around if one.is_evidence and one.at <= second.at]
    if judged and judged[-1].judged_as is Outcome.TIMEOUT and second.segment.state in GOOD:
        yield in_words(
            "The look at {at} got no answer, but one alone is no outage: two in a row are.",
            at=moment_in_words(judged[-1].at),
        )


def _blindness(second: Second, evidence: Evidence) -> Iterator[Bilingual]:
    excused = _excused(second, evidence.around)
    for _, blind in evidence.blind:
        if blind.started_at <= second.at < blind.ended_at and (excused or second.segment_is_unknown):
            yield in_words(
                "From {start} to {end} we could not see: what got no answer then counts as our own fault.",
                start=moment_in_words(blind.started_at),
                end=moment_in_words(blind.ended_at),
            )
            return


def _excused(second: Second, readings: Sequence[JudgedReading]) -> bool:
    return any(one.our_fault is not None and one.at <= second.at for one in readings)


def _people(second: Second) -> Iterator[Bilingual]:
    if second.outage is not None:
        yield in_words("It is part of incident {number}.", number=second.outage.incident_id)
    if second.cause is not None:
        yield in_words("Cause, as recorded: {cause}.", cause=in_words(REASONS[second.cause]))


def _parent_name(parent: ParentState | None) -> Bilingual | str:
    if parent is None or parent.name is None:
        return in_words("the node")
    return parent.name
