"""What a prober looks at: as it is assigned, with or without its server, by the server's clock."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.judging.addressed_block import AddressedBlock
from app.prober.assignment import read_update
from app.prober.errors import FolderOfAnother
from app.prober.process import ProberProcess
from app.registry.models import State
from probes.contract import Outcome, Reading
from probes.policy import Forbidden
from probes.reading_block import ReadingBlock
from tests.prober.conftest import Machine, delivered, read
from tests.prober.stand_in import a_site

NOW = 1_795_910_400


def due(process: ProberProcess, seconds: int = 1) -> list[int]:
    taken = process.rounds.schedule.take(process.clock.slot + seconds)
    return [int(key) for key in taken.targets.key]


async def test_a_site_that_is_new_here_or_has_moved_is_looked_at_at_once(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(key) for key in (7, 8, 9)]
    await process.server.attempt()
    assert len(process.rounds.schedule.plans) == 3
    machine.pass_time(100)
    due(process, 0)
    moved = a_site(8, host="127.7.7.99", addressed_at=1_795_900_000_000_000)
    machine.server.sites, machine.server.version = [a_site(7), moved, a_site(10)], 2
    await process.server.attempt()
    await process.server.attempt()
    assert process.rounds.schedule.plans.keys() == {7, 8, 10}
    assert due(process) == [8, 10]
    assert process.rounds.schedule.plans[8].target.host == "127.7.7.99"


async def test_a_part_of_an_assignment_adds_and_removes(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7), a_site(8)]
    await process.server.attempt()
    part = {"version": 2, "full": False, "sites": [a_site(9)], "removed": [7, 12345]}
    process.rounds.assign(read_update(part), at_once=True)
    assert process.rounds.schedule.plans.keys() == {8, 9}


async def test_entries_that_no_site_can_be_made_of_are_told_and_keep_no_other_away(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7), a_site(8, interval_s=0), a_site(9, kind="push"), {"id": 10}, a_site(11)]
    with capture_logs() as logs:
        await process.server.attempt()
    assert process.rounds.schedule.plans.keys() == {7, 11}
    whys = [log["why"].partition(":")[0] for log in logs if log["event"] == "assigned_site_refused"]
    assert whys == ["sites[1].interval_s", "sites[2].kind", "sites[3].kind"]


async def test_without_its_server_it_begins_with_what_it_was_told_last(machine: Machine) -> None:
    first = await machine.start()
    machine.server.sites = [a_site(7), a_site(8)]
    await first.server.attempt()
    machine.server.is_away = True
    machine.wall_s += 3600  # its own clock is wrong, and so it was: the offset is known
    machine.server.now += 3600
    process = await machine.start()
    assert await process.server.attempt() < 5
    assert await process.time.load()
    await process.assigned.load()
    assert process.rounds.schedule.plans.keys() == {7, 8}
    assert process.clock.now() == pytest.approx(machine.server.now, abs=0.1)


async def test_a_clock_that_shows_less_than_what_was_read_by_it_is_not_believed(machine: Machine) -> None:
    first = await machine.start()
    machine.server.sites = [a_site(7)]
    await first.server.attempt()
    await read(first, NOW)
    machine.wall_s -= 86_400  # a machine that lost its clock's battery
    process = await machine.start()
    with capture_logs() as logs:
        assert not await process.time.load()
    assert [log["event"] for log in logs] == ["clock_set_back"]
    assert not process.clock.is_set


async def test_what_was_read_by_a_wrong_clock_is_placed_where_it_belongs(machine: Machine) -> None:
    first = await machine.start()
    machine.server.sites = [a_site(7)]
    await first.server.attempt()
    machine.server.is_away = True
    machine.wall_s += 300  # set wrong while it was off
    process = await machine.start()
    await process.time.load()
    await process.assigned.load()
    await read(process, process.clock.slot)  # on the disk
    machine.pass_time(10)
    await read(process, process.clock.slot)
    machine.server.is_away = False
    await process.server.attempt()
    assert delivered(machine.server) == [NOW, NOW + 10]
    assert process.clock.now() == pytest.approx(machine.server.now, abs=0.1)
    assert process.clock.steps == 1
    await read(process, process.clock.slot)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW, NOW + 10, NOW + 10]


async def test_a_loss_is_news_and_so_is_the_answer_after_it(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    news: list[bool] = []
    process.rounds.on_news = lambda: news.append(True)

    async def write(outcome: Outcome) -> int:
        machine.pass_time(60)
        due(process)
        before = len(news)
        rtts_of = {Outcome.OK: (900,), Outcome.TIMEOUT: (), Outcome.FAULT: ()}
        put(process, process.clock.slot, outcome, rtts_of[outcome])
        await process.rounds.write_due()
        await process.rounds.write()
        return len(news) - before

    assert await write(Outcome.OK) == 1  # the first answer ever
    assert await write(Outcome.OK) == 0
    assert await write(Outcome.FAULT) == 0
    assert await write(Outcome.TIMEOUT) == 1
    assert await write(Outcome.TIMEOUT) == 1
    assert await write(Outcome.TIMEOUT) == 0
    assert await write(Outcome.OK) == 1


def put(process: ProberProcess, slot: int, outcome: Outcome, rtts: tuple[int, ...]) -> None:
    block = AddressedBlock(ReadingBlock.of([Reading(7, slot, outcome, 3, rtts, 60)]), np.zeros(1, np.int64))
    process.rounds.buffer.put(block, ended=float(slot))


async def test_what_is_lost_while_its_own_uplink_is_out_is_a_fault_of_ours(machine: Machine) -> None:
    machine.server.rules["canaries"] = ["198.51.100.1"]
    process = await machine.start()
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    canaries = process.rounds.canaries
    assert list(canaries.addresses) == ["198.51.100.1"]
    canaries.seen_until, canaries.blind_since = float(NOW), float(NOW)
    put(process, NOW + 5, Outcome.TIMEOUT, ())
    await process.rounds.write_due()
    assert await process.outbox.next(NOW) == [], "held until a canary tells"
    await process.server.attempt()
    assert machine.server.beats[-1]["blind_since"] == "2026-11-29T00:00:00+00:00"
    machine.pass_time(20)
    canaries.record([Reading(-1, 0, Outcome.OK, 1, (900,), 60)], process.clock.now())
    await process.rounds.write_due()
    await process.rounds.write()
    await process.server.attempt()
    assert [(reading.outcome, reading.reason) for reading in machine.server.readings] == [(Outcome.FAULT, "blind")]
    assert machine.server.beats[-1]["blind_since"] is None


async def test_canaries_of_its_own_come_before_those_of_the_server(machine: Machine) -> None:
    machine.server.rules["canaries"] = ["198.51.100.1"]
    process = await machine.start(canaries=["10.1.2.3"])
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    assert list(process.rounds.canaries.addresses) == ["10.1.2.3"]
    process.rounds.prober.policy.check("10.1.2.3")  # allowed, for it was named on this machine
    with pytest.raises(Forbidden):
        process.rounds.prober.policy.check("10.1.2.4")


async def test_it_never_looks_where_the_server_denies_it(machine: Machine) -> None:
    process = await machine.start()
    machine.server.rules["policy"] = {"allow": ["10.0.0.0/8"], "deny": ["198.51.100.0/24"]}
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    policy = process.rounds.prober.policy
    policy.check("10.1.2.3")
    for address in ("198.51.100.7", "127.0.0.1", "192.168.1.1"):
        with pytest.raises(Forbidden):
            policy.check(address)


async def test_what_was_read_in_one_vantage_is_not_delivered_as_another_s(machine: Machine) -> None:
    machine.server.rules["vantage"] = 1
    first = await machine.start()
    await first.server.attempt()
    await read(first, NOW)
    machine.server.rules["vantage"] = 2
    second = await machine.start()
    with pytest.raises(FolderOfAnother, match="1 readings of vantage 1, and this token is of vantage 2"):
        await second.server.attempt()
    assert delivered(machine.server) == []
    machine.server.rules["vantage"] = 1
    third = await machine.start()
    await third.server.attempt()
    assert delivered(machine.server) == [NOW]
    machine.server.rules["vantage"] = 2
    fourth = await machine.start()
    assert await fourth.server.attempt() == 5, "nothing waits"


async def test_what_was_read_for_one_server_is_not_delivered_to_another(machine: Machine) -> None:
    first = await machine.start()
    await first.server.attempt()
    await read(first, NOW)
    await first.server.attempt()
    await read(first, NOW + 60)
    machine.server.database = "8000-00000001"
    second = await machine.start(token="sp-of-another")
    with pytest.raises(FolderOfAnother, match="1 readings for another server"):
        await second.server.attempt()
    third = await machine.start()
    await third.server.attempt()
    assert delivered(machine.server) == [NOW, NOW + 60], "a restored backup is another database that knows the token"
    machine.server.database = "9000-00000001"
    fourth = await machine.start(token="sp-of-another")
    assert await fourth.server.attempt() == 5, "nothing waits"
    assert set(machine.server.receipts.values()) <= {1, 2}
    assert (await fourth.outbox.spool.read(lambda spool: spool.send_again(0.0))) == 0, "and nothing is sent again"


async def test_states_are_of_the_schedule_alone(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7, parent_id=3)]
    await process.server.attempt()
    await read(process, NOW)
    (followed,) = process.rounds.following.follow(
        ReadingBlock.of([Reading(7, NOW + 60, Outcome.TIMEOUT, 3, (), 60)]), np.zeros(1, np.int8)
    )
    assert (followed.state, followed.parent_id) == (State.UP, 3)
