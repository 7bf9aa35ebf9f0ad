"""The trial of the agents (`make bench ARGS=agents`), cut short: a restart, wrong clocks, a full disk, cron."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agents.agent_machine import wait_until
from tests.support import agent_trial
from tests.support.agent_trial import Subject
from tests.support.served_api import Served

pytestmark = pytest.mark.real_time

CLOCKS_TELL_S = 60  # the clocks err by minutes, rows on a busy machine by seconds


@pytest.fixture
async def computer(server: Served, tmp_path: Path) -> AsyncIterator[Subject]:
    async with agent_trial.subject(
        server, tmp_path / "box", kind="linux", clock="+5 h", has_rtc=False, beat_s=1
    ) as subject:
        yield subject


@pytest.fixture
async def router(server: Served, tmp_path: Path) -> AsyncIterator[Subject]:
    async with agent_trial.subject(
        server, tmp_path / "box", kind="openwrt", clock="1970", has_rtc=False, beat_s=1
    ) as subject:
        yield subject


async def stored_rows(subject: Subject) -> int:
    return sum(map(len, (await subject.stored.seqs()).values()))


async def more_rows_than(subject: Subject, count: int) -> bool:
    return await stored_rows(subject) > count


async def test_rows_of_the_boot_before_lie_where_they_were_measured_whatever_the_clock_shows_now(
    computer: Subject, server: Served
) -> None:
    computer.start()
    await wait_until(lambda: more_rows_than(computer, 0))
    await agent_trial.break_network(computer, "refused", broken=True)
    await wait_until(lambda: len(computer.box.rows) >= 3)
    await asyncio.to_thread(computer.power_cut)
    computer.clock = "-5 min"
    computer.start()
    await wait_until(lambda: len(computer.box.truth) > len(computer.box.rows))
    await agent_trial.break_network(computer, "refused", broken=False)
    before = len(computer.box.truth)
    await wait_until(lambda: more_rows_than(computer, before))
    computer.box.stop()
    computer.count_dropped()
    outcome = await agent_trial.outcome(server, computer, tolerance_s=CLOCKS_TELL_S)
    assert (outcome.problems, outcome.dropped) == ((), 0)
    assert outcome.stored > 4


async def test_an_agent_whose_disk_is_full_goes_on_sending_its_rows(router: Subject, server: Served) -> None:
    router.start()
    await wait_until(lambda: more_rows_than(router, 0))
    await wait_until(lambda: fills_all_but_the_reserve(router))
    before = await stored_rows(router)
    await wait_until(lambda: more_rows_than(router, before + 2))
    router.box.stop()
    router.count_dropped()
    assert (await agent_trial.outcome(server, router, tolerance_s=CLOCKS_TELL_S)).problems == ()


async def fills_all_but_the_reserve(subject: Subject) -> bool:
    """Fill the disk while no push has given up the agent's room."""
    await asyncio.to_thread(subject.box.fill, full=True)
    if is_reserved := (subject.box.ram / "room").exists():
        return is_reserved
    await asyncio.to_thread(subject.box.fill, full=False)
    return False


async def test_cron_waits_for_nothing_and_one_agent_runs_however_often_it_is_started(router: Subject) -> None:
    """BusyBox' crond starts no job of a minute in which the one before still runs."""
    box = router.box
    box.configure(JITTER_S=3600, RUN=box.folder, SPOOL=box.folder)
    environment = {"PATH": str(box.tools), "SINYAL_CONF": str(box.conf)}
    command = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    starters = [
        await asyncio.create_subprocess_exec(
            *command, str(box.tools / "sh"), str(box.agent), "each-minute", start_new_session=True
        )
        for _ in range(3)
    ]
    try:
        async with asyncio.timeout(120):
            assert [await starter.wait() for starter in starters] == [0, 0, 0]
        await wait_until(lambda: os.path.lexists(box.folder / "loop.lock"))
        await wait_until(lambda: running_loops(box.agent) == 1)
    finally:
        for starter in starters:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(starter.pid, signal.SIGKILL)


def running_loops(agent: Path) -> int:
    found = 0
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += f"{agent}\0loop".encode() in file.read_bytes()
    return found
