"""Sites move between probers: the built-in one of the worker and those that run by themselves."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.work_signals import Work
from app.vantages import assignment_store
from app.vantages.assigning import Ids
from app.vantages.live_probers import BLIND_S, LEASE_S
from app.worker.process import Worker
from tests.conftest import Cast
from tests.factories import register
from tests.support.probers import hear, name_vantage, register_prober

SILENT, BLIND = LEASE_S + 1, BLIND_S + 1


async def register_sites(cast: Cast, count: int, *vantages: int) -> set[int]:
    fields = {"vantages": list(vantages)} if vantages else {}
    hosts = (f"127.7.{len(vantages)}.{number}" for number in range(1, count + 1))
    return {(await register(cast, host=host, **fields))["id"] for host in hosts}


async def sites_by_prober(session: AsyncSession, vantage: int) -> dict[int | None, set[int]]:
    async with session.begin():
        rows = await session.execute(
            text("SELECT prober_id, array_agg(site_id) AS sites FROM assignment WHERE vantage = :v GROUP BY 1"),
            {"v": vantage},
        )
        return {row.prober_id: set(row.sites) for row in rows}


async def assign(worker: Worker, *, after_s: float = LEASE_S) -> set[int]:
    """Let the two jobs run, and again after so many seconds. Return the sites that the built-in prober looks at."""
    for ahead_s in (0.0, after_s):
        now = worker.assignment.clock() + ahead_s
        worker.assignment.clock = lambda now=now: now  # type: ignore[misc]
        await worker.assignment.assign()
    await worker.registry_refresh.refresh()
    return set(worker.context.schedule.plans)


async def test_the_built_in_prober_alone_looks_at_all_sites_without_a_row(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    sites = await register_sites(cast, 4)
    await worker.start()
    assert await assign(worker) == sites
    assert await sites_by_prober(session, 0) == {}


async def test_with_the_built_in_prober_alone_the_database_is_asked_only_when_something_is_signalled(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = 0, worker.assignment.assign

    async def count(*, anew: bool = True) -> None:
        nonlocal asked
        asked += 1
        await ask(anew=anew)

    monkeypatch.setattr(worker.assignment, "assign", count)
    worker.context.signals.listen()
    for _ in range(3):
        await worker.assignment.assign_due()
        worker.assignment._rests_until = 0
    assert asked == 1
    worker.context.signals.signal("assignment")
    await worker.assignment.assign_due()
    assert asked == 2


async def test_a_second_prober_of_the_centre_gets_half_and_gives_it_back_when_it_falls_silent(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    sites = await register_sites(cast, 6)
    await worker.start()
    office = await register_prober(session, "office", 0)
    here = await assign(worker)
    assert (len(here), (await sites_by_prober(session, 0))[office]) == (3, sites - here)

    await hear(session, office, silent_s=SILENT)
    assert await assign(worker) == sites
    due = worker.context.schedule.take(worker.context.slot + 1)
    assert set(due.targets.key.tolist()) >= sites - here, "its sites are looked at now, not at their next slot"

    await hear(session, office)
    assert len(await assign(worker)) == 3, "it is given a share again"
    assert await assign(worker) == await assign(worker), "and nothing moves after that"


async def test_sites_of_a_dead_prober_go_to_the_other_of_its_vantage_and_to_no_other_vantage(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    for number, name in ((1, "telkom"), (2, "icon")):
        await name_vantage(session, number, name)
    here = await register_sites(cast, 2)
    bound = await register_sites(cast, 4, 1)
    await worker.start()
    first, second = [await register_prober(session, name, 1) for name in ("first", "second")]
    await register_prober(session, "elsewhere", 2)
    assert await assign(worker) == here, "a site bound to another vantage is not looked at from here"
    shared = await sites_by_prober(session, 1)
    assert (len(shared[first]), len(shared[second]), shared[first] | shared[second]) == (2, 2, bound)

    await hear(session, first, silent_s=SILENT)
    await assign(worker)
    assert await sites_by_prober(session, 1) == {second: bound}
    await hear(session, second, silent_s=SILENT)
    await assign(worker)
    assert await sites_by_prober(session, 1) == {second: bound}, "while nobody is live, they stay"
    async with session.begin():
        await session.execute(text("UPDATE prober SET revoked_at = now() WHERE id = :id"), {"id": second})
    await assign(worker)
    assert await sites_by_prober(session, 1) == {None: bound}, "who is revoked keeps nothing"


async def test_a_prober_that_is_blind_gives_its_sites_to_one_that_sees(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    sites = await register_sites(cast, 4)
    await worker.start()
    office = await register_prober(session, "office", 0)
    assert len(await assign(worker)) == 2
    await hear(session, office, blind_s=BLIND)
    assert await assign(worker) == sites
    await hear(session, office)
    context = worker.context
    context.canaries.blind_since = context.clock.now() - BLIND
    assert worker.assignment._built_in_changed()
    assert await assign(worker) == set()
    await hear(session, office, blind_s=BLIND)
    assert await assign(worker) == set(), "all are blind: nothing moves"


async def test_a_site_that_is_new_or_leaves_a_vantage_follows_the_registry(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    await name_vantage(session, 1, "telkom")
    await worker.start()
    prober = await register_prober(session, "first", 1)
    (site_id,) = await register_sites(cast, 1, 0, 1)
    assert await assign(worker) == {site_id}
    assert await sites_by_prober(session, 1) == {prober: {site_id}}
    assert (await cast.sari.patch(f"/sites/{site_id}", {"vantages": [1]})).status_code == 200
    assert await assign(worker) == set()


async def test_who_is_heard_first_after_an_outage_of_ours_takes_nothing_of_the_others(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    await name_vantage(session, 1, "telkom")
    await register_sites(cast, 4, 1)
    await worker.start()
    first, second = [await register_prober(session, name, 1) for name in ("first", "second")]
    await assign(worker)
    shared = await sites_by_prober(session, 1)
    for prober in (first, second):
        await hear(session, prober, silent_s=300)
    await assign(worker)
    await hear(session, first)
    await assign(worker, after_s=LEASE_S - 1)
    assert await sites_by_prober(session, 1) == shared
    await assign(worker, after_s=1)
    assert (await sites_by_prober(session, 1)).keys() == {first}, "it had the time to be heard, too"


async def test_while_a_lease_is_only_renewed_no_site_is_read(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register_sites(cast, 2)
    await worker.start()
    office = await register_prober(session, "office", 0)
    await assign(worker)
    read, load = list[int](), assignment_store.load_holders

    async def count(session: AsyncSession, vantage: int) -> tuple[Ids, Ids]:
        read.append(vantage)
        return await load(session, vantage)

    monkeypatch.setattr(assignment_store, "load_holders", count)
    worker.context.signals.listen()
    worker.context.signals.take(Work.ASSIGNMENT, sweep_s=float("inf"))
    now = worker.assignment.clock()
    for ahead_s in (LEASE_S + 1, 2 * LEASE_S + 2):
        worker.assignment.clock = lambda later=now + ahead_s: later  # type: ignore[misc]
        await worker.assignment.assign_due()
    assert read == []
    await hear(session, office, silent_s=SILENT)
    for ahead_s in (3 * LEASE_S + 3, 4 * LEASE_S + 4):
        worker.assignment.clock = lambda later=now + ahead_s: later  # type: ignore[misc]
        await worker.assignment.assign_due()
    assert (read, set(await sites_by_prober(session, 0))) == ([0, 0], {None})
