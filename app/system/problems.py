"""Finds what is wrong with the service itself, and says it in words of both languages. Pure."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from app.core.words import duration_in_words, in_words, moment_in_words, number_in_words
from app.system.findings import FindingSeverity, SystemCheck, SystemFacts, SystemFinding, critical, warning
from app.system.prober_problems import PROBER_CHECKS

BEAT_LATE = timedelta(seconds=30)
INBOX_LATE_S, COURIER_LATE_S = 60, 60
BUFFER_FILLING = 0.2  # of its limit
HOUR_S, DAY_S = 3_600, 86_400
PACKING_LATE = timedelta(hours=6)
LATE_S = {"hours": HOUR_S, "days": DAY_S, "availability": DAY_S, "months": DAY_S}  # counting, by stage


def find_problems(facts: SystemFacts) -> list[SystemFinding]:
    """Return what is wrong, critical first. What a silent worker last recorded of itself is not judged."""
    works: list[Check] = [_sites_not_shown, _counting_late, _inbox_late, _pushes_refused, _courier_silent]
    works += [_packs_corrupt, _packing_late]
    works += PROBER_CHECKS
    if facts.beat_at is None or facts.now - facts.beat_at > BEAT_LATE:
        works = [_worker_silent, *works]
    else:
        works = [_blind, _ingest_unproven, *works, _buffer_filling, _readings_lost, _canaries]
    findings = [finding for check in works for finding in check(facts)]
    return sorted(findings, key=lambda finding: finding.severity is not FindingSeverity.CRITICAL)


Check = Callable[[SystemFacts], Iterator[SystemFinding]]


def _worker_silent(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.beat_at is None:
        message = in_words("nothing has been measured yet")
    else:
        message = in_words("nothing has been written since {since}", since=moment_in_words(facts.beat_at))
    todo = in_words("Sites become unknown meanwhile, never down. Check that `sinyal worker` runs, and its log")
    yield critical(SystemCheck.WORKER_SILENT, message, todo)


def _blind(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.blind_since is not None:
        yield critical(
            SystemCheck.BLIND,
            in_words(
                "no canary has answered since {since}, so our own connection seems to be out",
                since=moment_in_words(facts.blind_since),
            ),
            in_words("No site is judged down meanwhile. Check this server's uplink, and SINYAL_CANARIES"),
        )


def _ingest_unproven(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.deaf_since is not None and facts.has_pushing_sites:
        yield critical(
            SystemCheck.INGEST_UNPROVEN,
            in_words(
                "since {since} it is not proven that reports of devices can reach us",
                since=moment_in_words(facts.deaf_since),
            ),
            in_words(
                "No site that reports by itself is judged down meanwhile. Check that `sinyal ingest` runs, "
                "SINYAL_PUBLIC_URL or SINYAL_INGEST_URL, and the reverse proxy"
            ),
        )


def _sites_not_shown(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.rejected_sites:
        yield critical(
            SystemCheck.SITES_NOT_SHOWN,
            in_words("the status of {n} sites cannot be shown", n=facts.rejected_sites),
            in_words("See status_row_rejected in the log of the API"),
        )


def _inbox_late(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.inbox_age_s > INBOX_LATE_S:
        yield critical(
            SystemCheck.INBOX_LATE,
            in_words(
                "the oldest report of a device has waited for {age}", age=duration_in_words(int(facts.inbox_age_s))
            ),
            in_words("Nothing is lost. Check `sinyal worker` and its log"),
        )


def _counting_late(facts: SystemFacts) -> Iterator[SystemFinding]:
    late = {stage: lag_s for stage, lag_s in facts.lag_s.items() if lag_s > LATE_S[stage]}
    if late:
        yield warning(
            SystemCheck.COUNTING_LATE,
            in_words("counting is {lag} late", lag=duration_in_words(int(max(late.values())) // 60 * 60)),
            in_words("Figures of the past are computed on request until then. See rollup_failed in the worker's log"),
        )


def _pushes_refused(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.refused_pushes:
        yield warning(
            SystemCheck.PUSHES_REFUSED,
            in_words("{n} reports of devices could not be processed and are set aside", n=facts.refused_pushes),
            in_words("They are tried again when the worker starts. See push_rejected in its log"),
        )


def _courier_silent(facts: SystemFacts) -> Iterator[SystemFinding]:
    age_s = facts.courier_age_s
    if not facts.channels or (age_s is not None and age_s <= COURIER_LATE_S):
        return
    if age_s is None:
        message = in_words("no alert has been delivered yet, although there are channels")
    else:
        message = in_words("no alert has been delivered for {age}", age=duration_in_words(int(age_s) // 60 * 60))
    todo = in_words("Nothing is lost: alerts wait. Check that `sinyal courier` runs, and its log")
    yield warning(SystemCheck.COURIER_SILENT, message, todo)


def _buffer_filling(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.buffer_limit and facts.buffered > facts.buffer_limit * BUFFER_FILLING:
        yield warning(
            SystemCheck.BUFFER_FILLING,
            in_words(
                "{n} readings wait for the database, of {limit} that the buffer holds",
                n=facts.buffered,
                limit=facts.buffer_limit,
            ),
            in_words("Beyond it the oldest are lost. Check load and disk of PostgreSQL"),
        )


def _readings_lost(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.lost:
        yield warning(
            SystemCheck.READINGS_LOST,
            in_words("{n} readings were lost since the worker started", n=facts.lost),
            in_words("That time counts as unknown. See reading_rejected in the worker's log"),
        )


def _canaries(facts: SystemFacts) -> Iterator[SystemFinding]:
    silent = sum(not answers for answers in facts.canaries.values())
    if silent and facts.blind_since is None:
        yield warning(
            SystemCheck.CANARY_SILENT,
            in_words("{n} of {all} canaries do not answer", n=silent, all=len(facts.canaries)),
            in_words("While another one answers, measuring goes on. Replace the silent ones in SINYAL_CANARIES"),
        )
    if len(facts.canaries) < 2:
        yield warning(
            SystemCheck.FEW_CANARIES,
            in_words("fewer than two canaries are set"),
            in_words("Our own outage would look like one of the sites': set at least two in SINYAL_CANARIES"),
        )


def _packs_corrupt(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.corrupt_packs and facts.corrupt_since:
        yield warning(
            SystemCheck.PACKS_CORRUPT,
            in_words(
                "packed readings are damaged: at least {n} packs, the first found at {since}",
                n=facts.corrupt_packs,
                since=moment_in_words(facts.corrupt_since),
            ),
            in_words(
                "What was judged and counted from them stays. Check the disk; `sinyal doctor --packs` names them, and "
                "a backup from before holds them intact (docs/operating.md)"
            ),
        )


def _packing_late(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.packing_lag > PACKING_LATE:
        lag_s = int(facts.packing_lag.total_seconds())
        yield warning(
            SystemCheck.PACKING_LATE,
            in_words(
                "packing of readings is {lag} late: {gb} GB are left",
                lag=duration_in_words(lag_s // HOUR_S * HOUR_S),
                gb=number_in_words(max(0.1, round(facts.unpacked_bytes / 1e9, 1))),
            ),
            in_words(
                "It goes on by itself, as after an upgrade or a long stop, and nothing is lost. If what is left does "
                "not shrink, see job_failed in the worker's log"
            ),
        )
