"""`sinyal demo`: the whole service over a simulated village network, every village of Kaltim registered."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import store as access
from app.access.models import Role
from app.core.clock import floor_second, utc_now
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.models import Site
from app.registry.regions import REGIONS_CSV
from app.runtime import data_dir, instance
from app.runtime.admin import welcome
from app.runtime.supervisor import Child, database, sinyal, stop_on_signals, supervise
from app.runtime.up import address_of, require_port
from app.settings import Settings, SettingsError, settings
from simulator import device_tokens
from simulator.agent_secret import ENV, secret_of
from simulator.history.store import HOLDS_ANYTHING, SINCE
from simulator.history.write import write_history
from simulator.namespace import Namespace, NamespaceUnavailable
from simulator.registration import LOOPBACK, register, wanted
from simulator.script import Script, load
from simulator.site_form import form
from simulator.towers import towers
from simulator.villages import CANARIES, PROVIDERS, addresses, villages

INSIDE = "127.254.0.1", 8000  # where the api listens on the simulated network
BACKLOG = 2048

Say = Callable[[str], None]


async def run(given: Settings, script_file: Path | None, *, history_days: int | None = None, say: Say) -> None:
    script = load(script_file)
    require_port(given)
    stop = stop_on_signals()
    with (
        data_dir.claimed(given.data_dir, data_dir.DEMO),
        instance.recorded(given, allow=_allowed(given)),
        _namespace(say) as namespace,
    ):
        if namespace is not None and given.database_url is not None:
            _require_unix_socket(given.database_url)
        if namespace is None:
            script = replace(script, agents=None)
        secret, inside = secret_of(given.data_dir), _inside(namespace)
        async with database(given) as (url, cluster):
            token = await _populate(url, script, secret)
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

            children = _children(namespace, inside, url, given, script_file, environment, {ENV: secret})
            await supervise(
                children, cluster=cluster, stop=stop, ready_url=f"{address_of(given)}/readyz", when_ready=ready
            )


@contextlib.contextmanager
def _namespace(say: Say) -> Iterator[Namespace | None]:
    try:
        namespace = Namespace.open()
    except NamespaceUnavailable as problem:
        say(
            "no simulated network here, so every village answers pings from plain loopback, without outages or agents: "
            f"{problem}"
        )
        yield None
        return
    with namespace:
        yield namespace


def _inside(namespace: Namespace | None) -> socket.socket | None:
    """Where the api is reached from the simulated network: ours, so it outlives any api, and callers wait meanwhile."""
    if namespace is None:
        return None
    made = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(INSIDE)
    made.listen(BACKLOG)
    return made


def _crowd(script: Script) -> str:
    there = villages(REGIONS_CSV, script.sites)
    built = len(towers(REGIONS_CSV, there, script.nodes))
    pushing = sum(form(one, script.agents)["probe"] == "push" for one in there)
    said = f"simulated villages: {len(there)}" + (f", towers: {built}" if built else "")
    return said + (f"; {pushing} report themselves" if pushing else "")


def _require_unix_socket(url: str) -> None:
    if "host=%2F" not in url and "host=/" not in url:
        raise SettingsError(
            "the demo's worker lives in a network namespace of its own and reaches PostgreSQL through a Unix socket "
            "only: end SINYAL_DATABASE_URL with ?host=/var/run/postgresql, or unset it"
        )


def _allowed(given: Settings) -> list[str]:
    """The networks that may be probed: those of the settings, and the simulated one."""
    return [*given.probe.allow, LOOPBACK]


def _environment(given: Settings, script: Script) -> dict[str, str]:
    found = {
        "SINYAL_DATA_DIR": str(given.data_dir.resolve()),
        "SINYAL_PROBE__ALLOW": ",".join(_allowed(given)),
        "SINYAL_CANARIES": ",".join(CANARIES),
        "SINYAL_HOST": given.host,
        "SINYAL_PORT": str(given.port),
    }
    if script.interval_s is not None:
        found["SINYAL_PROBE__INTERVAL_S"] = str(script.interval_s)
    if script.send_every_s is not None:
        found["SINYAL_PROBE__SEND_EVERY_S"] = str(script.send_every_s)
    return found


def _children(
    namespace: Namespace | None,
    inside: socket.socket | None,
    url: str,
    given: Settings,
    script_file: Path | None,
    environment: dict[str, str],
    secret: dict[str, str],
) -> list[Child]:
    worker, api = sinyal("worker", "--supervised"), sinyal("api", "--supervised")
    if namespace is None or inside is None:
        return [Child("worker", worker, environment), Child("api", api, environment)]
    server = "http://{}:{}".format(*INSIDE)
    simulator = [sys.executable, "-m", "simulator", "--data-dir", str(given.data_dir.resolve()), "--server", server]
    simulator += ["--database-url-env", "SINYAL_DATABASE_URL"]
    simulator += ["--script", str(script_file.resolve())] if script_file else []
    at_the_sites = environment | secret | {"SINYAL_DATABASE_URL": url}
    return [
        Child("simulator", namespace.command(simulator), at_the_sites, talks=False),
        Child("worker", namespace.command(worker), environment | {"SINYAL_PUBLIC_URL": server}),
        Child("api", [*api, "--listen-fd", str(inside.fileno())], environment, pass_fds=(inside.fileno(),)),
    ]


async def _populate(url: str, script: Script, secret: str) -> str:
    """Registers the script's villages as the registry would by hand; later starts only mend what differs."""
    engine = open_engine(url, name="demo")
    try:
        async with transaction(open_sessions(engine)) as session:
            await providers.ensure_providers(session, PROVIDERS)
            places, is_new = addresses(REGIONS_CSV), not await session.scalar(HOLDS_ANYTHING)
            await register(session, wanted(REGIONS_CSV, script))
            await device_tokens.ensure(session, secret, list(places))
            if is_new and script.registered_s:
                await _set_back(session, script.registered_s)
            return await access.create_token(session, name="demo", role=Role.PROVINCE_ADMIN, days=30)
    finally:
        await engine.dispose()


async def _set_back(session: AsyncSession, by_s: int) -> None:
    """The sites are there since so long: what they report of the time before the demo's start is taken."""
    start, ids = floor_second(utc_now()) - timedelta(seconds=by_s), list(await session.scalars(select(Site.id)))
    for statement in SINCE:
        await session.execute(text(statement), {"start": start, "ids": ids})


async def _write_history(url: str, script: Script, days: int, *, stop: asyncio.Event, say: Say) -> None:
    """Until it is written, or a signal comes: then nothing is kept of it, or the worker goes on counting."""
    engine = open_engine(url, name="history", command_timeout_s=None)
    writing = asyncio.create_task(
        write_history(
            engine, days=days, seed=script.seed, interval_s=script.interval_s, scripted=script.technologies, say=say
        )
    )
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
