"""Finds what is wrong with probers that run by themselves. Pure. One sentence a kind, however many probers."""

from collections.abc import Callable, Iterator, Sequence

from app.core.words import duration_in_words, in_words, moment_in_words
from app.system.findings import SystemCheck, SystemFacts, SystemFinding, critical, warning
from app.vantages.prober_facts import ProberFacts

SILENT_S = 60  # a lease is over by then, and its sites have moved
CLOCK_MS = 1_000
LATE_S = 600  # an undelivered reading of then
REJECTED_S = 86_400
BLOCKS_LATE_S = 60
COPIED, COPIED_S = 2, 3_600  # one replacement is a restart; two within an hour are two machines
NAMED = 3  # probers in a sentence


def _unwatched(facts: SystemFacts) -> Iterator[SystemFinding]:
    """The built-in prober of the centre is the worker's."""
    names = [
        vantage.name
        for vantage in facts.vantages
        if vantage.number and vantage.sites and not any(prober.is_live for prober in vantage.probers)
    ]
    if names:
        yield critical(
            SystemCheck.VANTAGE_UNWATCHED,
            in_words("nobody looks from {names}: no prober there is heard", names=_short(names)),
            in_words("Sites looked at from there alone become unknown, never down. Check sinyal prober there"),
        )


def _silent(facts: SystemFacts) -> Iterator[SystemFinding]:
    silent = [prober for prober in _probers(facts) if prober.silent_s is not None and prober.silent_s > SILENT_S]
    if silent:
        yield warning(
            SystemCheck.PROBER_SILENT,
            in_words(
                "not heard for {age} or longer: {names}",
                age=duration_in_words(int(min(prober.silent_s or 0 for prober in silent))),
                names=_names(silent),
            ),
            in_words("Others of its vantage look at its sites meanwhile. Revoke a prober that is not needed any more"),
        )


def _blind(facts: SystemFacts) -> Iterator[SystemFinding]:
    blind = [prober for prober in _probers(facts) if prober.is_live and prober.blind_since is not None]
    if blind:
        since = min(prober.blind_since for prober in blind if prober.blind_since is not None)
        yield warning(
            SystemCheck.PROBER_BLIND,
            in_words("no canary answers at {names}, since {since}", names=_names(blind), since=moment_in_words(since)),
            in_words("What it loses meanwhile is nobody's outage. Check the uplink of its machine"),
        )


def _clock_off(facts: SystemFacts) -> Iterator[SystemFinding]:
    off = [prober for prober in _probers(facts) if prober.is_live and abs(prober.clock_offset_ms or 0) > CLOCK_MS]
    if off:
        yield warning(
            SystemCheck.PROBER_CLOCK,
            in_words("the clock of the machine is off by more than a second at: {names}", names=_names(off)),
            in_words("Its readings are dated by our clock all the same. Set up NTP on its machine"),
        )


def _late(facts: SystemFacts) -> Iterator[SystemFinding]:
    late = [prober for prober in _probers(facts) if prober.is_live and (prober.spool_age_s or 0) > LATE_S]
    if late:
        yield warning(
            SystemCheck.PROBER_LATE,
            in_words("readings wait to be delivered at {names}: {n}", names=_names(late), n=_sum(late, "spooled")),
            in_words("Nothing is lost: they are kept there for seven days. Check the way from there to this server"),
        )


def _lost(facts: SystemFacts) -> Iterator[SystemFinding]:
    lost = [prober for prober in _probers(facts) if prober.is_live and prober.spool_lost]
    if lost:
        yield warning(
            SystemCheck.PROBER_LOST,
            in_words(
                "the spool was full at {names}: {n} readings lost", names=_names(lost), n=_sum(lost, "spool_lost")
            ),
            in_words("That time counts as unknown. Make room on its disk"),
        )


def _disk(facts: SystemFacts) -> Iterator[SystemFinding]:
    unstored = [prober for prober in _probers(facts) if prober.is_live and not prober.is_durable]
    if unstored:
        yield warning(
            SystemCheck.PROBER_DISK,
            in_words("the disk takes nothing at {names}: what is read waits in memory alone", names=_names(unstored)),
            in_words("A restart of the machine would lose what is not delivered yet. Make room on its disk"),
        )


def _rejected(facts: SystemFacts) -> Iterator[SystemFinding]:
    refused = [prober for prober in _probers(facts) if prober.rejected_s is not None and prober.rejected_s < REJECTED_S]
    if refused:
        yield warning(
            SystemCheck.PROBER_REJECTED,
            in_words(
                "readings were refused within a day, of {names}: {code}",
                names=_names(refused),
                code=_short(sorted({prober.last_rejection or "?" for prober in refused})),
            ),
            in_words("See docs/probers.md for what each code means"),
        )


def _token_copied(facts: SystemFacts) -> Iterator[SystemFinding]:
    copied = [
        prober
        for prober in _probers(facts)
        if prober.superseded >= COPIED and prober.superseded_s is not None and prober.superseded_s < COPIED_S
    ]
    if copied:
        yield warning(
            SystemCheck.PROBER_TOKEN_COPIED,
            in_words("more than one process uses the token of: {names}", names=_names(copied)),
            in_words("Give each machine a prober of its own; if you do not know the other one, make a new token"),
        )


def _blocks_late(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.blocks_age_s > BLOCKS_LATE_S:
        yield critical(
            SystemCheck.BLOCKS_LATE,
            in_words(
                "what probers delivered has waited for {age} to be judged",
                age=duration_in_words(int(facts.blocks_age_s)),
            ),
            in_words("Nothing is lost: it waits in the database. See the worker's log"),
        )


def _blocks_refused(facts: SystemFacts) -> Iterator[SystemFinding]:
    if facts.refused_blocks:
        yield warning(
            SystemCheck.BLOCKS_REFUSED,
            in_words("{n} blocks of probers could not be judged and are set aside", n=facts.refused_blocks),
            in_words("The worker's log says why (prober_block_rejected); its next start tries them again"),
        )


PROBER_CHECKS: tuple[Callable[[SystemFacts], Iterator[SystemFinding]], ...] = (
    _unwatched,
    _silent,
    _blind,
    _clock_off,
    _late,
    _lost,
    _disk,
    _rejected,
    _token_copied,
    _blocks_late,
    _blocks_refused,
)


def _probers(facts: SystemFacts) -> Iterator[ProberFacts]:
    for vantage in facts.vantages:
        yield from vantage.probers


def _names(probers: Sequence[ProberFacts]) -> str:
    return _short([f"{prober.name} ({prober.vantage_name})" for prober in probers])


def _short(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *([f"… (+{len(names) - NAMED})"] if len(names) > NAMED else [])])


def _sum(probers: Sequence[ProberFacts], name: str) -> int:
    return sum(getattr(prober, name) for prober in probers)
