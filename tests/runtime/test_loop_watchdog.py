"""Processes whose event loop stands still end, and those that are suspended or merely busy do not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.runtime.supervisor import Child
from app.settings import ROOT

pytestmark = pytest.mark.real_time

STALLED_S = 2
PROGRAM = """
import asyncio, sys, time
from app.core import logging
from app.runtime import loop_watchdog

def waits(secret):
    time.sleep(60)

def computes(secret):
    7 ** 10**9  # one call into C that keeps the interpreter's lock

def nothing(secret):
    pass

async def main():
    async with loop_watchdog.watched_loop():
        await asyncio.sleep(0.5)
        print("runs", flush=True)
        globals()[sys.argv[1]]("s3cr3t" + "-value")
        await asyncio.to_thread(lambda: sum(range(10**8)))
        await asyncio.sleep(2 * {stalled_s})
    print("done", flush=True)

loop_watchdog.STALLED_S = {stalled_s}
logging.configure("test")
asyncio.run(main())
""".replace("{stalled_s}", str(STALLED_S))


@contextmanager
def running(doing: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", PROGRAM, doing]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "runs\n"
            yield process
        finally:
            process.kill()


def test_a_loop_that_waits_ends_its_process_with_the_stack_in_one_event_and_no_values() -> None:
    with running("waits") as process:
        _, logged = process.communicate(timeout=40)
    assert process.returncode == 70
    [line] = logged.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["component"]) == ("event_loop_stalled", "critical", "test")
    assert any("in waits" in call for call in event["stacks"]["MainThread"])
    assert "s3cr3t" not in line.replace('"s3cr3t" + "-value"', "")


def test_a_call_that_keeps_the_interpreters_lock_ends_its_process_with_the_stack() -> None:
    with running("computes") as process:
        _, logged = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGPROF
    assert "in computes" in logged


def test_a_process_that_was_suspended_or_computes_in_a_thread_goes_on() -> None:
    with running("nothing") as process:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2 * STALLED_S)
        os.kill(process.pid, signal.SIGCONT)
        said, logged = process.communicate(timeout=60)
    assert (process.returncode, said, logged) == (0, "done\n", "")


async def test_the_supervisor_starts_a_stalled_process_again() -> None:
    child = Child("stalling", [sys.executable, "-c", PROGRAM, "waits"], shows_output=False)
    try:
        await child.keep_alive()
        first = child.process
        assert first is not None
        async with asyncio.timeout(60):
            assert await first.wait() == 70
            while child.process is first:
                await child.keep_alive()
                await asyncio.sleep(0.05)
        assert child.process is not None
        assert child.process.returncode is None
    finally:
        await child.stop()
