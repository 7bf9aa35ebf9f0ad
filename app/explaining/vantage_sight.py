"""From where a site was reached in a second, and from where not: of sites that several vantages look at. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.clock import to_slot
from app.core.words import Bilingual, in_words
from app.explaining.judged_reading import JudgedReading
from app.judging.combining import Combiner, Look, VantageRule, by_slot, combined
from app.judging.fold import JudgeContext
from probes.contract import Reading


@dataclass(frozen=True, slots=True)
class VantageSight:
    """The vantages of a site, by the sources of their readings: `reaching` it, `losing` it, and those that see nothing.

    `hosted`: those at its own provider, which do not decide while others can see.
    """

    reaching: tuple[str, ...]
    losing: tuple[str, ...]
    blind: tuple[str, ...]
    hosted: tuple[str, ...] = ()

    def as_json(self) -> dict[str, tuple[str, ...]]:
        return {name: getattr(self, name) for name in ("reaching", "losing", "blind", "hosted")}


def sight_at(readings: Iterable[Reading], context: JudgeContext, at: datetime) -> VantageSight | None:
    """Return what the last looks up to that second say; None of a site that one vantage looks at."""
    rule = context.vantage_rule(at)
    if rule is None:
        return None
    combiner, slot = Combiner(), to_slot(at)
    for looks in by_slot(reading for reading in readings if reading.slot <= slot):
        own = [Look(reading, context.observe(reading)) for reading in looks if reading.source in rule.sources]
        if own:
            combiner.combine(own, rule)
    return _sight(combiner, slot, rule)


def _sight(combiner: Combiner, slot: int, rule: VantageRule) -> VantageSight:
    seeing = combiner.seeing(slot, rule)
    losing = tuple(source for source in seeing if combiner.views[source].losses)
    reaching = tuple(source for source in seeing if source not in losing)
    blind = tuple(source for source in rule.sources if source not in seeing)
    return VantageSight(reaching, losing, blind, tuple(source for source in rule.sources if source in rule.hosted))


def judged_together(readings: Sequence[Reading], context: JudgeContext) -> list[JudgedReading]:
    """Return the readings as they were judged, those of several vantages as one a slot; [] of a single vantage."""
    if not context.has_vantages:
        return []
    return [
        JudgedReading(reading, observation or context.observe(reading), None, is_claim=False)
        for reading, observation in combined(readings, context.observe, context.vantage_rule)
    ]


def lost_in_part(judged: Iterable[JudgedReading], since: datetime) -> JudgedReading | None:
    """Return the first look from then on that confirmed that some vantage loses what others reach."""
    return next((one for one in judged if one.at >= since and one.observation.partial_from is not None), None)


def sight_words(sight: VantageSight, labels: Mapping[str, str]) -> Iterator[Bilingual]:
    """Yield from where it is reached and from where not; nothing where all that look reach it."""

    def names(sources: Sequence[str]) -> str:
        return ", ".join(labels.get(source, source) for source in sources)

    if sight.losing and sight.reaching:
        yield in_words(
            "Reached from {reaching}, not from {losing}.", reaching=names(sight.reaching), losing=names(sight.losing)
        )
    elif sight.losing:
        yield in_words("Not reached from {losing}: from nowhere that could see.", losing=names(sight.losing))
    if sight.blind:
        yield in_words("No look from {blind} tells of this second.", blind=names(sight.blind))
    hosted = [source for source in sight.hosted if source in (*sight.reaching, *sight.losing)]
    if hosted and sight.losing:
        yield in_words(
            "{hosted} stands at the site's own provider: it does not decide while others can see.", hosted=names(hosted)
        )
