import asyncio
import socket
import subprocess
import sys
import threading
import time

import pytest

from probes.resolve import Resolver, Unresolvable

EXIT_WHILE_HUNG = """
import asyncio, threading
from probes.resolve import Resolver, Unresolvable
async def main():
    try:
        await Resolver(timeout_s=0.1, lookup=lambda name: threading.Event().wait()).resolve("desa.id")
    except Unresolvable as problem:
        print(problem)
asyncio.run(main())
"""


async def test_a_name_of_this_machine_resolves() -> None:
    assert set(await Resolver().resolve("localhost")) <= {"127.0.0.1", "::1"}


async def test_a_name_is_looked_up_once_however_many_ask_and_kept_for_its_time() -> None:
    looked_up: list[str] = []

    def lookup(name: str) -> list[str]:
        looked_up.append(name)
        time.sleep(0.02)
        return ["192.0.2.1"]

    resolver = Resolver(lookup=lookup, ttl_s=0.2)
    assert resolver.cached("desa.id") is None
    assert await asyncio.gather(*(resolver.resolve("Desa.id") for _ in range(20))) == [["192.0.2.1"]] * 20
    assert resolver.cached("desa.id") == ["192.0.2.1"]
    assert looked_up == ["desa.id"]
    await asyncio.sleep(0.25)
    await resolver.resolve("desa.id")
    assert len(looked_up) == 2


async def test_beyond_the_limit_only_the_name_used_longest_ago_is_forgotten() -> None:
    looked_up: list[str] = []

    def lookup(name: str) -> list[str]:
        looked_up.append(name)
        return ["192.0.2.1"]

    resolver = Resolver(lookup=lookup, max_names=2)
    for name in ("a.id", "b.id", "a.id", "c.id", "a.id", "b.id"):
        await resolver.resolve(name)
    assert looked_up == ["a.id", "b.id", "c.id", "b.id"]


async def test_a_hung_lookup_costs_its_own_name_only() -> None:
    release = threading.Event()

    def lookup(name: str) -> list[str]:
        if name == "hung.id":
            release.wait(5)
        return ["192.0.2.1"]

    resolver = Resolver(lookup=lookup, timeout_s=0.2)
    hung = asyncio.create_task(resolver.resolve("hung.id"))
    await asyncio.sleep(0)
    started = time.monotonic()
    await resolver.resolve("desa.id")
    assert time.monotonic() - started < 0.1
    with pytest.raises(Unresolvable, match=r"no answer from the resolver in 0\.2 s"):
        await hung
    with pytest.raises(Unresolvable):
        resolver.cached("hung.id")  # asked again at once: no second wait, no second thread
    release.set()


async def test_when_every_lookup_hangs_the_next_name_waits_no_longer_than_its_timeout() -> None:
    release = threading.Event()
    resolver = Resolver(lookup=lambda name: [str(release.wait(5))], timeout_s=0.1, max_lookups=2)
    started = time.monotonic()
    resolutions = (resolver.resolve(f"{n}.desa.id") for n in range(10))
    answers = await asyncio.gather(*resolutions, return_exceptions=True)
    assert all(isinstance(answer, Unresolvable) for answer in answers)
    assert time.monotonic() - started < 0.5
    release.set()


async def test_what_a_resolver_says_becomes_the_reason() -> None:
    def unknown(name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def broken(name: str) -> list[str]:
        raise RuntimeError("boom")

    for lookup, words in ((unknown, "name or service not known"), (broken, "boom"), (lambda name: [], "no addr")):
        with pytest.raises(Unresolvable, match=words):
            await Resolver(lookup=lookup).resolve("desa.id")


def test_a_process_ends_although_a_lookup_still_hangs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EXIT_WHILE_HUNG], capture_output=True, text=True, timeout=5, check=True
    )
    assert "no answer from the resolver" in ended.stdout
