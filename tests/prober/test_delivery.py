"""What a prober reads arrives once, whatever happens between its disk and the server."""

import pytest
from structlog.testing import capture_logs

from app.prober.errors import ProberOutdated, RefusedForGood, TokenTakenOver
from tests.prober.conftest import Machine, delivered, read
from tests.prober.stand_in import a_site

NOW = 1_795_910_400


async def test_a_beat_says_how_the_prober_is(machine: Machine) -> None:
    machine.wall_s += 3.5  # ahead of the server
    process = await machine.start()
    machine.server.sites = [a_site(7), a_site(8)]
    assert await process.server.attempt() == 5
    (beat,) = machine.server.beats
    assert (beat["protocol"], beat["instance"], beat["clock_offset_ms"]) == (1, process.delivery.boot, -3500)
    assert beat["sent_at"] == "2026-11-29T00:00:00+00:00"
    assert beat["figures"]["sites"] == 2
    assert beat["spool"] == {"readings": 0, "oldest_at": None, "bytes": 0, "lost": 0}


async def test_readings_are_delivered_with_a_beat_and_acknowledged(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW - 3, NOW - 2)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW - 3, NOW - 2]
    await process.server.attempt()
    assert list(machine.server.receipts.values()) == [1]
    assert machine.server.beats[-1]["spool"]["readings"] == 0
    assert process.rounds.figures.delivered_readings == 2


async def test_an_answer_that_is_lost_after_the_commit_counts_nothing_twice(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    machine.server.loses_answers = 2  # the second one at once, over a new connection
    assert await process.server.attempt() <= 1
    await process.server.attempt()
    assert delivered(machine.server) == [NOW]
    assert list(machine.server.receipts.values()) == [3]
    assert await process.outbox.next(NOW) == []


async def test_what_a_killed_process_spooled_the_next_one_delivers_under_the_same_identity(machine: Machine) -> None:
    killed = await machine.start()
    await killed.server.attempt()
    await read(killed, NOW)
    machine.server.loses_answers = 2
    await killed.server.attempt()
    await read(killed, NOW + 1)
    machine.pass_time(2)
    process = await machine.start()
    await read_after_first_contact(process)
    assert delivered(machine.server) == [NOW, NOW + 1]
    assert {boot for boot, _ in machine.server.receipts} == {killed.delivery.boot}
    assert machine.server.beats[-1]["instance"] == process.delivery.boot


async def read_after_first_contact(process) -> None:  # type: ignore[no-untyped-def]
    while await process.server.attempt() < 5:
        pass


async def test_hours_without_a_server_are_delivered_in_order_and_in_few_requests(machine: Machine) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    machine.server.is_away = True
    slots = [NOW + 5 * number for number in range(300)]
    for slot in slots:
        machine.pass_time(5)
        await read(process, slot)
        if slot % 60 == 0:
            assert await process.server.attempt() <= 30
    machine.server.is_away = False
    machine.server.requests.clear()
    assert await process.server.attempt() == 5
    assert delivered(machine.server) == slots
    assert set(machine.server.receipts.values()) == {1}
    assert machine.server.requests.count("POST /api/v1/prober/readings") <= 5


async def test_after_a_failover_what_was_acknowledged_of_late_is_sent_again(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    for number in range(4):
        await read(process, NOW + 600 * number)
        await process.server.attempt()
        machine.pass_time(600)
    machine.server.readings.clear()
    machine.server.receipts.clear()  # the server that took over never had them
    machine.server.database = "7000-00000002"
    await process.server.attempt()
    await process.server.attempt()
    assert delivered(machine.server) == [NOW + 1800], "what was acknowledged within 15 minutes"


async def test_blocks_that_the_server_rejects_are_dropped_counted_and_told(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW, NOW + 1)
    await read(process, NOW + 2)
    machine.server.rejects = {1: "too_old"}
    with capture_logs() as logs:
        await process.server.attempt()
    assert [(log["event"], log["code"], log["readings"]) for log in logs] == [("block_rejected", "too_old", 2)]
    assert delivered(machine.server) == [NOW + 2]
    await process.server.attempt()
    assert machine.server.beats[-1]["spool"]["lost"] == 2


async def test_what_a_server_finds_to_be_of_the_future_is_sent_again_a_minute_later(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    machine.server.rejects = {1: "clock"}
    await process.server.attempt()
    machine.server.rejects = {}
    await process.server.attempt()
    assert (delivered(machine.server), process.outbox.lost) == ([], 0)
    machine.pass_time(61)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW]


async def test_a_delivery_that_is_too_large_is_sent_in_smaller_parts(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    for number in range(7):
        await read(process, NOW + number)
    machine.server.most_blocks = 2
    await process.server.attempt()
    assert delivered(machine.server) == [NOW + number for number in range(7)]


async def test_a_block_that_no_body_may_hold_is_held_back_and_not_dropped(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    machine.server.most_blocks = 0
    with capture_logs() as logs:
        await process.server.attempt()
    assert [log["event"] for log in logs] == ["block_held_back"]
    machine.server.most_blocks = 20
    await process.server.attempt()
    assert delivered(machine.server) == []
    machine.pass_time(3601)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW]


@pytest.mark.parametrize("status", [401, 403])
async def test_with_a_refused_token_it_goes_on_reading_asks_each_minute_and_ends_after_a_day(
    machine: Machine, status: int
) -> None:
    process = await machine.start()
    machine.server.sites = [a_site(7)]
    await process.server.attempt()
    await read(process, NOW)
    machine.server.refuses = status
    with capture_logs() as logs:
        for _ in range(3):
            assert await process.server.attempt() == 60
            machine.pass_time(60)
    assert [log["event"] for log in logs] == ["token_refused"]
    assert process.rounds.schedule.plans.keys() == {7}
    machine.server.refuses = None
    await process.server.attempt()
    assert delivered(machine.server) == [NOW]
    machine.server.refuses = status
    await process.server.attempt()
    machine.pass_time(86_401)
    with pytest.raises(RefusedForGood, match=str(status)):
        await process.server.attempt()


@pytest.mark.parametrize(("status", "error"), [(409, TokenTakenOver), (426, ProberOutdated)])
async def test_it_ends_where_another_one_took_over_or_the_server_needs_a_newer_one(
    machine: Machine, status: int, error: type[Exception]
) -> None:
    process = await machine.start()
    machine.server.refuses = status
    with pytest.raises(error, match="said so"):
        await process.server.attempt()


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_a_server_that_cannot_answer_now_is_asked_again_later_and_later(machine: Machine, status: int) -> None:
    process = await machine.start()
    machine.server.refuses = status
    with capture_logs() as logs:
        pauses = [await process.server.attempt() for _ in range(12)]
    assert pauses[0] <= 1
    assert 20 <= pauses[-1] <= 30
    assert [log["event"] for log in logs] == ["server_unreachable"]


async def test_an_answer_of_something_else_is_no_answer(machine: Machine) -> None:
    process = await machine.start()
    machine.server.rules = {"version": "not a number"}
    assert await process.server.attempt() <= 1
    assert not process.rounds.schedule.plans
