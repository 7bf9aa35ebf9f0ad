"""All checks of a run, and the table of their verdicts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.truth.checker import (
    causes,
    degraded,
    explained,
    forged,
    gaps,
    live,
    outages,
    packets,
    readings,
    sums,
)
from tests.benchmarks.truth.checker.facts import Facts, read_lines
from tests.benchmarks.truth.checker.readings import Account
from tests.benchmarks.truth.checker.verdict import Verdict

CHECKS: tuple[Callable[[Facts], Verdict], ...] = (
    explained.explained,
    outages.outages,
    outages.incidents,
    outages.edges,
    live.live,
    gaps.reasons,
    gaps.ranges,
    degraded.spells,
    packets.healthy,
    packets.losses,
    sums.seconds,
    sums.one_definition,
    sums.regions,
    sums.unchanged,
    sums.out_of_service,
    forged.forged,
    causes.hints,
    gaps.recoveries,
)
ACCOUNTS: tuple[Callable[[Account, Facts], Verdict], ...] = (readings.acknowledged, readings.stored)
SHOWN_FAILURES = 3  # of each check


def report(folder: Path, *, shown: int = SHOWN_FAILURES) -> bool:
    """Check the run that was kept in this folder, and print its verdicts; return whether all hold."""
    facts = Facts.read(folder)
    account = Account.read(read_lines(folder / "data" / "agents.jsonl"))
    for name in account.lost - account.acknowledged:
        facts.sites[name[0]].lost.append(account.measured[name])
    verdicts = [check(facts) for check in CHECKS] + [check(account, facts) for check in ACCOUNTS]
    print("the worker's own faults: " + ", ".join(f"{name} {value:g}" for name, value in facts.figures.items()))
    return print_verdicts(verdicts, shown)


def print_verdicts(verdicts: Sequence[Verdict], shown: int) -> bool:
    """Print a row for each verdict and the first failures; return whether all hold."""
    words = ("expected", "found", "missed", "invented", "exempt", "worst s")
    print(f"{'':<28}" + "".join(f"{word:>10}" for word in words))
    for verdict in verdicts:
        _row(verdict)
    for verdict in verdicts:
        for failure in verdict.failures[:shown]:
            print(f"\n{verdict.name}: {failure}")
        if (more := len(verdict.failures) - shown) > 0:
            print(f"... and {more} more")
    return all(verdict.holds for verdict in verdicts)


def _row(verdict: Verdict) -> None:
    numbers = (verdict.expected, verdict.found, verdict.missed, verdict.invented, verdict.exempt)
    print(
        f"{verdict.name:<28}"
        + "".join(f"{number:>10}" for number in numbers)
        + f"{verdict.worst_s:>10.1f}  {'holds' if verdict.holds else 'FAILS'}"
    )
    for note in verdict.notes:
        print(f"  {note}")
