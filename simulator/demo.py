"""`sinyal demo`: the whole service over a simulated village network, every village of Kaltim registered."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from app import datadir
from app.access import store as access
from app.access.models import Role
from app.database import open_engine, open_sessions, transaction
from app.keys import welcome
from app.registry import providers
from app.registry.regions import REGIONS_CSV
from app.settings import Settings, SettingsError, settings
from app.simulation import simulated_until
from app.supervise import Child, database, sinyal, stop_on_signals, supervise
from app.up import address_of, require_port
from simulator.history.write import write_history
from simulator.namespace import Namespace, NamespaceUnavailable
from simulator.registration import LOOPBACK, register, wanted
from simulator.script import Script, load
from simulator.towers import towers
from simulator.villages import CANARIES, PROVIDERS, villages

Say = Callable[[str], None]


async def run(given: Settings, script_file: Path | None, *, history_days: int | None = None, say: Say) -> None:
    script = load(script_file)
    require_port(given)
    stop = stop_on_signals()
    with datadir.claimed(given.data_dir, datadir.DEMO), _namespace(say) as namespace:
        if namespace is not None and given.database_url is not None:
            _require_unix_socket(given.database_url)
        async with database(given) as (url, cluster):
            token = await _populate(url, script)
            await welcome(given, say)
            if history_days is not None:
                await _write_history(url, script, history_days, stop=stop, say=say)
            until = await _simulated_until(url)
            environment = _environment(given, script)

            def ready() -> None:
                say(f"ready: {address_of(given)}{given.root_path} (API: /docs; {_crowd(script)})")
                if until is not None:
                    say(f"simulated: all before {until:%Y-%m-%d %H:%M:%S} UTC, and every answer about it says so")
                say(f"token: {token}")

            await supervise(
                _children(namespace, url, given, script_file, environment), cluster=cluster, stop=stop,
                ready_url=f"{address_of(given)}/readyz", when_ready=ready,
            )  # fmt: skip


@contextlib.contextmanager
def _namespace(say: Say) -> Iterator[Namespace | None]:
    try:
        namespace = Namespace.open()
    except NamespaceUnavailable as problem:
        say(f"no simulated network here, so every village answers from plain loopback, without outages: {problem}")
        yield None
        return
    with namespace:
        yield namespace


def _crowd(script: Script) -> str:
    there = villages(REGIONS_CSV, script.sites)
    built = len(towers(REGIONS_CSV, there, script.nodes))
    return f"simulated villages: {len(there)}" + (f", towers: {built}" if built else "")


def _require_unix_socket(url: str) -> None:
    if "host=%2F" not in url and "host=/" not in url:
        raise SettingsError(
            "the demo's worker lives in a network namespace of its own and reaches PostgreSQL through a Unix socket "
            "only: end SINYAL_DATABASE_URL with ?host=/var/run/postgresql, or unset it"
        )


def _environment(given: Settings, script: Script) -> dict[str, str]:
    found = {
        "SINYAL_DATA_DIR": str(given.data_dir.resolve()),
        "SINYAL_PROBE__ALLOW": ",".join([*given.probe.allow, LOOPBACK]),
        "SINYAL_CANARIES": ",".join(CANARIES),
        "SINYAL_HOST": given.host,
        "SINYAL_PORT": str(given.port),
    }
    if script.interval_s is not None:
        found["SINYAL_PROBE__INTERVAL_S"] = str(script.interval_s)
    return found


def _children(
    namespace: Namespace | None, url: str, given: Settings, script_file: Path | None, environment: dict[str, str]
) -> list[Child]:
    worker, api = sinyal("worker", "--supervised"), sinyal("api", "--supervised")
    if namespace is None:
        return [Child("worker", worker, environment), Child("api", api, environment)]
    simulator = [sys.executable, "-m", "simulator", "--data-dir", str(given.data_dir.resolve())]
    simulator += ["--database-url-env", "SINYAL_DATABASE_URL"]
    simulator += ["--script", str(script_file.resolve())] if script_file else []
    return [
        Child("simulator", namespace.command(simulator), {"SINYAL_DATABASE_URL": url}, talks=False),
        Child("worker", namespace.command(worker), environment),
        Child("api", api, environment),
    ]


async def _populate(url: str, script: Script) -> str:
    """Registers the script's villages as the registry would by hand; later starts only mend what differs."""
    engine = open_engine(url, name="demo")
    try:
        async with transaction(open_sessions(engine)) as session:
            await providers.ensure_providers(session, PROVIDERS)
            await register(session, wanted(REGIONS_CSV, script))
            return await access.create_token(session, name="demo", role=Role.PROVINCE_ADMIN, days=30)
    finally:
        await engine.dispose()


async def _write_history(url: str, script: Script, days: int, *, stop: asyncio.Event, say: Say) -> None:
    """Until it is written, or a signal comes: then nothing is kept of it, or the worker goes on counting."""
    engine = open_engine(url, name="history", command_timeout_s=None)
    writing = asyncio.create_task(write_history(
        engine, days=days, seed=script.seed, interval_s=script.interval_s, scripted=script.technologies, say=say
    ))  # fmt: skip
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
    finally:
        for task in (writing, stopping):
            task.cancel()
        await asyncio.gather(writing, stopping, return_exceptions=True)
        await engine.dispose()


async def _simulated_until(url: str) -> datetime | None:
    engine = open_engine(url, name="demo")
    try:
        async with transaction(open_sessions(engine)) as session:
            return await simulated_until(session)
    finally:
        await engine.dispose()


def main(script_file: Path | None, *, say: Say) -> None:
    asyncio.run(run(settings(), script_file, say=say))
