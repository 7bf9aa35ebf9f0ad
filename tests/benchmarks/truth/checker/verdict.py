"""The result of a check, and the description of a failure."""

from dataclasses import dataclass, field

from tests.benchmarks.truth.checker.facts import Facts, Site
from tests.benchmarks.truth.checker.intervals import Interval, meeting


@dataclass
class Verdict:
    """Counts of a check; it holds without failures."""

    name: str
    expected: int = 0
    found: int = 0
    missed: int = 0
    invented: int = 0
    exempt: int = 0
    worst_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.failures

    def expect(self, found: bool, failure: str) -> None:
        self.expected += 1
        self.found += found
        self.missed += not found
        if not found:
            self.failures.append(failure)

    def add_error(self, error_s: float) -> None:
        self.worst_s = max(self.worst_s, error_s, -error_s)

    def invent(self, failure: str) -> None:
        self.invented += 1
        self.failures.append(failure)


def describe(facts: Facts, site: Site, stretch: Interval, problem: str) -> str:
    """Describe a failure: the site, the truth and the segments around it; seconds since the run's start."""
    near = stretch.wider(3 * facts.interval_s, 3 * facts.interval_s)
    lines = [f"{site.code} ({site.kind}{f' behind {site.parent}' if site.parent else ''}): {problem}"]
    silences = [span(facts, interval) for interval in meeting(near, site.silent)]
    lines.append(f"  at        {span(facts, stretch)}; silent {silences}")
    lines += [
        f"  recorded  {span(facts, s.stretch)} {s.state}{f' ({s.reason})' if s.reason else ''}"
        f" last_ok {at(facts, s.last_ok)} first_ok {at(facts, s.first_ok)}"
        for s in site.segments
        if s.stretch.meets(near)
    ]
    return "\n".join(lines)


def span(facts: Facts, stretch: Interval) -> str:
    return f"{at(facts, stretch.start)}..{at(facts, stretch.end)}"


def at(facts: Facts, moment: float | None) -> str:
    return "-" if moment is None else f"{moment - facts.period.start:.1f}"
