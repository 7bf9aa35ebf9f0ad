"""Many sites lost at once: canaries decide whether we could see, else each site's own next look decides for it."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.judging.canary_evidence import CanaryBeat, CanaryLog
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import IngestResult
from app.judging.mass_outage import NO_CANARIES
from app.judging.propagation import rejudge_with_children
from app.postgres.engine import Sessions, transaction
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import OK, TIMEOUT, Village, assert_same, backdate

STATES = {"up": "U", "down": "D", "unknown": "?", "unreachable": "R", "degraded": "g"}


class ManySites:
    """Sites of two providers, all looked at together, and canaries beaten every two seconds."""

    def __init__(self, village: Village) -> None:
        self.village, self.ids = village, list(village.ids)

    def canaries(self, *answers: bool) -> CanaryLog:
        """Return the log of an hour in which each canary answered always or never."""
        log = CanaryLog([f"192.0.2.{n}" for n, _ in enumerate(answers)])
        for second in range(0, 3600, 2):
            log.append(CanaryBeat(to_slot(self.village.start) + second, answers))
        return log

    async def look(
        self, second: int, lost: Sequence[int], ids: Sequence[int] | None = None, *, canaries: CanaryLog = NO_CANARIES
    ) -> IngestResult:
        readings = [self.reading(i, second, TIMEOUT if i in lost else OK) for i in (self.ids if ids is None else ids)]
        return await self.village.ingest(readings, canaries=canaries)

    def reading(self, site_id: int, second: int, outcome: Outcome) -> Reading:
        return self.village.reading(site_id, second, outcome)

    async def segments(self, site_id: int) -> list[tuple[int, str]]:
        stored = (await self.village.stored())[site_id][0]
        start = self.village.start
        return [(round((s.started_at - start).total_seconds()), STATES[s.state.value]) for s in stored]


@pytest.fixture
async def village_network(sessions: Sessions, cast: Cast, session: AsyncSession) -> ManySites:
    ids = [
        (await register(cast, host=f"127.8.1.{n}", provider="iconplus" if n % 2 else "telkom-wms"))["id"]
        for n in range(1, 21)
    ]
    start = floor_second(utc_now()) - timedelta(hours=2)
    await backdate(session, start)
    return ManySites(Village(sessions, ids, start, Random(0)))


async def test_while_the_canaries_answer_a_mass_outage_counts_at_once_and_whole(village_network: ManySites) -> None:
    """Twelve lose 23 s together, three are out for longer, four were out 30 s before: all of it counts."""
    before, flapping, longer = village_network.ids[:4], village_network.ids[4:16], village_network.ids[16:19]
    canaries = village_network.canaries(True, True)
    await village_network.look(0, [])
    for second in (30, 40, 50):
        await village_network.look(second, before, before, canaries=canaries)
    for second in (60, 70):
        result = await village_network.look(second, [*before, *flapping, *longer], canaries=canaries)
    assert {site.state.value for site in result.judged if site.site_id in flapping + longer} == {"down"}
    for second in (83, 120, 170):
        await village_network.look(second, longer, canaries=canaries)
    await village_network.look(180, [], canaries=canaries)
    for site_id in before:
        assert await village_network.segments(site_id) == [(0, "U"), (30, "D"), (83, "U")]
    for site_id in flapping:
        assert await village_network.segments(site_id) == [(0, "U"), (60, "D"), (83, "U")]
    for site_id in longer:
        assert await village_network.segments(site_id) == [(0, "U"), (60, "D"), (180, "U")]


@pytest.mark.parametrize("answers", [(True, False), (True, True, False)])
async def test_a_canary_that_is_silent_alone_excuses_nobody(
    village_network: ManySites, answers: tuple[bool, ...]
) -> None:
    canaries = village_network.canaries(*answers)
    await village_network.look(0, [])
    for second in (60, 70):
        await village_network.look(second, village_network.ids, canaries=canaries)
    await village_network.look(83, [], canaries=canaries)
    assert await village_network.segments(village_network.ids[0]) == [(0, "U"), (60, "D"), (83, "U")]


@pytest.mark.parametrize("answers", [(), (True,), (True, False, False)])
async def test_without_proof_that_we_could_see_each_site_waits_for_its_own_next_look(
    village_network: ManySites, answers: tuple[bool, ...]
) -> None:
    canaries = village_network.canaries(*answers)
    back, still_out = village_network.ids[:10], village_network.ids[10:]
    await village_network.look(0, [])
    for second in (60, 70):
        result = await village_network.look(second, village_network.ids, canaries=canaries)
    assert {(site.state.value, site.pending) for site in result.judged} == {("unknown", True)}
    await village_network.look(80, [], back, canaries=canaries)
    assert await village_network.segments(back[0]) == [(0, "U"), (60, "?"), (80, "U")]
    assert await village_network.segments(still_out[0]) == [(0, "U"), (60, "?")], (
        "what others answer decides nothing here"
    )
    await village_network.look(83, still_out, still_out, canaries=canaries)
    for site_id in still_out:
        assert await village_network.segments(site_id) == [(0, "U"), (60, "D")], "from its first lost look on"
    for site_id in back:
        assert await village_network.segments(site_id) == [(0, "U"), (60, "?"), (80, "U")]


async def test_a_hold_never_touches_an_outage_that_was_confirmed_before(village_network: ManySites) -> None:
    before, others = village_network.ids[:4], village_network.ids[4:]
    await village_network.look(0, [])
    for second in (40, 50):
        await village_network.look(second, before, before)
    for second in (60, 70):
        await village_network.look(second, village_network.ids)
    assert await village_network.segments(others[0]) == [(0, "U"), (60, "?")]
    assert await village_network.segments(before[0]) == [(0, "U"), (40, "D")]
    await village_network.look(80, [])
    assert await village_network.segments(before[0]) == [(0, "U"), (40, "D"), (80, "U")]


async def test_a_hold_covers_no_other_site_and_no_other_second(village_network: ManySites) -> None:
    late, others = village_network.ids[0], village_network.ids[1:]
    await village_network.look(0, [])
    await village_network.look(60, others)
    await village_network.look(70, others, others)
    await village_network.look(71, [late], [late])
    await village_network.look(80, [], others)
    await village_network.look(81, [late], [late])
    await village_network.look(140, others[:3], others)
    await village_network.look(150, others[:3], others)
    assert await village_network.segments(late) == [(0, "U"), (71, "D")]
    assert await village_network.segments(others[0]) == [(0, "U"), (60, "?"), (80, "U"), (140, "D")]


@pytest.mark.parametrize("seed", range(3))
async def test_holds_leave_the_ledger_that_one_fold_over_everything_gives(
    village_network: ManySites, seed: int
) -> None:
    random = Random(seed)
    readings: list[Reading] = []
    lost: set[int] = set()
    canaries = village_network.canaries(*((True,) * seed)) if seed else NO_CANARIES
    for second in range(0, 1500, 10):
        if random.random() < 0.2:
            lost = set(random.sample(village_network.ids, random.choice([0, 0, 3, 14])))
        looked_at = [i for i in village_network.ids if i in lost or second % 60 == 0 or random.random() < 0.1]
        batch = [village_network.reading(i, second, TIMEOUT if i in lost else OK) for i in looked_at]
        readings += batch
        await village_network.village.ingest(batch, canaries=canaries)
    assert_same(await village_network.village.stored(), await village_network.village.expected(readings))
    before = await village_network.village.stored()
    async with transaction(village_network.village.sessions) as session:
        held = await session.scalar(text("SELECT count(*) FROM suspect"))
        start = village_network.village.start
        await rejudge_with_children(
            session, [DirtyRange(i, start, start + timedelta(hours=1)) for i in village_network.ids]
        )
    assert held, "the readings made a mass outage"
    assert await village_network.village.stored() == before
