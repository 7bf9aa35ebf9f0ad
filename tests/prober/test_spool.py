"""The spool keeps what was read: through a full, a damaged and an absent disk, and not for ever."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.prober import outbox as outboxes
from app.prober import spool as spools
from app.prober.spool import FILE, Spool
from app.prober.spooled_block import SpooledBlock
from tests.prober.conftest import Machine, delivered, read
from tests.prober.stand_in import a_site

NOW = 1_795_910_400


def events(logs: list) -> list[str]:  # type: ignore[type-arg]
    return [log["event"] for log in logs if log["event"] not in {"assignment_received", "server_answers"}]


async def test_a_file_that_is_no_spool_is_set_aside_and_another_one_begun(machine: Machine) -> None:
    (machine.folder / FILE).write_bytes(b"something else, " * 1000)
    with capture_logs() as logs:
        process = await machine.start()
    assert events(logs) == ["spool_damaged"]
    await process.server.attempt()
    await read(process, NOW)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW]
    (aside,) = machine.folder.glob("spool.damaged-*.sqlite3")
    assert aside.read_bytes().startswith(b"something else")
    assert machine.server.beats[-1]["figures"]["spools_damaged"] == 1


async def test_of_a_spool_that_is_damaged_in_part_the_rest_is_delivered(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    machine.server.is_away = True
    for number in range(60):
        await read(process, *range(NOW + 100 * number, NOW + 100 * number + 99))
    await process.outbox.close()
    machine.runs.clear()
    await process.client.close()
    path = machine.folder / FILE
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 8192] = b"\xff" * 8192
    path.write_bytes(content)
    machine.server.is_away = False
    with capture_logs() as logs:
        process = await machine.start()
        while await process.server.attempt() < 5:
            pass
    assert "spool_damaged" in events(logs) or "block_lost" in events(logs)
    assert len(delivered(machine.server)) >= 20 * 99
    assert set(machine.server.receipts.values()) == {1}


class FullDisk:
    """Takes nothing more, until something was deleted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        append, drop_acknowledged, drop_oldest = Spool.append, Spool.drop_acknowledged, Spool.drop_oldest

        def appended(spool: Spool, blocks: Iterable[SpooledBlock]) -> int:
            if self.is_full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return append(spool, blocks)

        def acknowledged_dropped(spool: Spool) -> int:
            dropped = drop_acknowledged(spool)
            self.is_full = self.is_full and not dropped
            return dropped

        def oldest_dropped(spool: Spool) -> int:
            self.is_full = False
            return drop_oldest(spool)

        monkeypatch.setattr(Spool, "append", appended)
        monkeypatch.setattr(Spool, "drop_acknowledged", acknowledged_dropped)
        monkeypatch.setattr(Spool, "drop_oldest", oldest_dropped)


async def test_on_a_full_disk_what_is_acknowledged_makes_room_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    await process.server.attempt()
    FullDisk(monkeypatch)
    with capture_logs() as logs:
        await read(process, NOW + 1)
    assert (logs, process.outbox.spool.is_durable, process.outbox.lost) == ([], True, 0)
    await process.server.attempt()
    assert delivered(machine.server) == [NOW, NOW + 1]


async def test_on_a_full_disk_readings_wait_in_memory_and_only_then_cost_the_oldest(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await machine.start()
    await process.server.attempt()
    for number in range(10):
        await read(process, NOW + number)
    FullDisk(monkeypatch)
    monkeypatch.setattr(outboxes, "MOST_UNWRITTEN", 3)
    with capture_logs() as logs:
        for number in range(10, 13):
            await read(process, NOW + number)
    assert (events(logs), process.outbox.lost) == (["spool_failed"], 0)
    await read(process, NOW + 13)
    assert (process.outbox.spool.is_durable, process.outbox.lost) == (True, 1)
    while await process.server.attempt() < 5:
        pass
    assert sorted(delivered(machine.server)) == [NOW + number for number in range(1, 14)]


async def test_on_a_disk_that_takes_nothing_what_is_delivered_is_not_offered_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await machine.start()
    await process.server.attempt()
    for number in range(30):
        await read(process, NOW + number)

    def unwritable(*_: object, **__: object) -> int:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    with monkeypatch.context() as patched:
        for change in ("append", "settle", "prune"):
            patched.setattr(Spool, change, unwritable)
        with capture_logs() as logs:
            for number in range(30, 33):
                await process.server.attempt()
                await read(process, NOW + number)
            await process.server.attempt()
        assert events(logs) == ["spool_failed"]
        assert delivered(machine.server) == [NOW + number for number in range(33)]
    await process.server.attempt()
    assert set(machine.server.receipts.values()) == {1}
    assert await process.outbox.next(NOW) == []
    await read(process, NOW + 33)
    assert process.outbox.spool.is_durable


async def test_a_block_that_grew_after_the_disk_was_full_is_delivered_as_it_is_now(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await machine.start()
    await process.server.attempt()
    machine.server.is_away = True
    for number in range(60):
        await read(process, NOW + number)
        if number == 45:
            await process.server.attempt()
    full = FullDisk(monkeypatch)
    monkeypatch.setattr(Spool, "drop_acknowledged", lambda _: 0)
    await read(process, NOW + 60)
    assert full.is_full
    machine.server.is_away = False
    while await process.server.attempt() < 5:
        pass
    assert delivered(machine.server) == [NOW + number for number in range(61)]


async def test_without_a_disk_readings_wait_in_memory_and_are_delivered_from_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritable(_: Path) -> Spool:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(spools.Spool, "open", unwritable)
        process = await machine.start()
        machine.server.sites = [a_site(7)]
        await process.server.attempt()
        await read(process, NOW)
        await read(process, NOW + 1)
        await process.server.attempt()
        assert delivered(machine.server) == [NOW, NOW + 1]
        assert machine.server.beats[-1]["figures"]["spool_durable"] == 0
        machine.server.is_away = True
        await read(process, NOW + 2)
        assert events(logs) == ["spool_failed"], "told once"
    await read(process, NOW + 3)
    assert process.outbox.spool.is_durable
    machine.server.is_away = False
    await process.server.attempt()
    assert delivered(machine.server) == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert set(machine.server.receipts.values()) == {1}


async def test_what_is_older_than_a_week_is_dropped_and_counted(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    machine.server.is_away = True
    await read(process, NOW)
    machine.pass_time(6 * 86_400)
    await read(process, NOW + 6 * 86_400)
    machine.pass_time(86_400 + 60)
    machine.server.is_away = False
    with capture_logs() as logs:
        await process.outbox.prune(process.clock.now(), acked_s=900)
    assert events(logs) == ["spool_dropped"]
    await process.server.attempt()
    assert delivered(machine.server) == [NOW + 6 * 86_400]
    assert machine.server.beats[-1]["spool"]["lost"] == 1


async def test_beyond_its_limit_the_oldest_is_dropped_and_counted(machine: Machine) -> None:
    process = await machine.start(spool_bytes=1500)
    await process.server.attempt()
    for number in range(12):
        await read(process, NOW + number)
    await process.outbox.prune(process.clock.now(), acked_s=900)
    await process.outbox.refresh_state()
    state = process.outbox.state
    assert 0 < state.bytes <= 1500
    assert process.outbox.lost == 12 - state.readings
    await process.server.attempt()
    assert delivered(machine.server) == [NOW + number for number in range(process.outbox.lost, 12)]


async def test_acknowledged_blocks_are_kept_for_a_quarter_of_an_hour(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    await process.server.attempt()
    machine.pass_time(890)
    await process.server.attempt()
    assert await process.outbox.spool.read(lambda spool: spool.newest_slot()) == NOW
    machine.pass_time(20)
    await process.server.attempt()
    assert await process.outbox.spool.read(lambda spool: spool.newest_slot()) == 0


async def test_a_block_that_the_disk_changed_is_dropped_and_told(machine: Machine) -> None:
    process = await machine.start()
    await process.server.attempt()
    await read(process, NOW)
    await read(process, NOW + 1)
    with sqlite3.connect(machine.folder / FILE) as connection:
        connection.execute("UPDATE block SET body = zeroblob(length(body)) WHERE seq = 1")
    connection.close()
    with capture_logs() as logs:
        await process.server.attempt()
    assert events(logs) == ["block_lost"]
    assert delivered(machine.server) == [NOW + 1]
    assert process.outbox.lost == 1
