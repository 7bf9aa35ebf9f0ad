"""`sinyal demo`: the whole service over a simulated network, with a site for every village of East Kalimantan."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens
from app.access.models import Role
from app.core.clock import floor_second, utc_now
from app.core.stopping import stop_on_signals
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.models import Site
from app.registry.regions import REGIONS_CSV
from app.runtime import data_dir, instance
from app.runtime.admin import create_first_account
from app.runtime.supervisor import GRACE_S, Child, database, sinyal, supervise
from app.runtime.up import address_of, child_environment, ready_urls, require_ports
from app.settings import Settings, SettingsError
from simulator.agent_secret import ENV, secret_of
from simulator.history.store import HOLDS_ANYTHING, backdate_sites
from simulator.history.write import write_history
from simulator.namespace import Namespace, NamespaceUnavailable
from simulator.registration import LOOPBACK, create_device_tokens, planned_sites, register
from simulator.script import Script, load
from simulator.site_fields import registry_fields
from simulator.towers import towers
from simulator.villages import CANARIES, PROVIDERS, addresses, villages

INGEST_ADDRESS = "127.254.0.1", 8000  # of ingest on the simulated network
BACKLOG = 2048

Say = Callable[[str], None]


@dataclass
class SimulatorChild(Child):
    """Ends after the worker: one that still probes would take the missing network for our own blindness."""

    worker: Child | None = None

    async def stop(self) -> None:
        if self.worker is not None and self.worker.process is not None:
            with contextlib.suppress(TimeoutError):  # in case the worker is only stopped after this one
                await asyncio.wait_for(self.worker.process.wait(), GRACE_S + 1)
        await super().stop()


async def run(settings: Settings, script_file: Path | None, *, history_days: int | None = None, say: Say) -> None:
    script = load(script_file)
    require_ports(settings)
    stop = stop_on_signals()
    with (
        data_dir.claimed(settings.data_dir, data_dir.DEMO),
        instance.recorded(settings, allow=_allowed(settings)),
        _namespace(say) as namespace,
    ):
        if namespace is not None and settings.database_url is not None:
            _require_unix_socket(settings.database_url)
        if namespace is None:
            script = replace(script, agents=None)
        secret, inside = secret_of(settings.data_dir), _listen_inside(namespace)
        async with database(settings) as (url, cluster):
            token = await _populate(url, script, secret)
            await create_first_account(settings, say)
            if history_days is not None:
                await _write_history(url, script, history_days, stop=stop, say=say)
            until = await _simulated_until(url)
            environment = _environment(settings, script)

            def ready() -> None:
                say(f"ready: {address_of(settings)}{settings.root_path} (API: /docs; {_describe_sites(script)})")
                if until is not None:
                    say(f"simulated: everything before {until:%Y-%m-%d %H:%M:%S} UTC, as every response about it says")
                say(f"token: {token}")

            children = _children(namespace, inside, url, settings, script_file, environment, {ENV: secret})
            await supervise(children, cluster=cluster, stop=stop, ready_urls=ready_urls(settings), when_ready=ready)


@contextlib.contextmanager
def _namespace(say: Say) -> Iterator[Namespace | None]:
    try:
        namespace = Namespace.open()
    except NamespaceUnavailable as problem:
        say(
            "no simulated network here: every village answers pings from the plain loopback, without outages or agents "
            f"({problem})"
        )
        yield None
        return
    with namespace:
        yield namespace


def _listen_inside(namespace: Namespace | None) -> socket.socket | None:
    """Open ingest's socket on the simulated network; it is ours, so that agents wait while ingest restarts."""
    if namespace is None:
        return None
    listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(INGEST_ADDRESS)
    listener.listen(BACKLOG)
    return listener


def _describe_sites(script: Script) -> str:
    included = villages(REGIONS_CSV, script.sites)
    built = len(towers(REGIONS_CSV, included, script.nodes))
    pushing = sum(registry_fields(village, script.agents)["probe"] == "push" for village in included)
    text = f"simulated villages: {len(included)}" + (f", towers: {built}" if built else "")
    return text + (f"; {pushing} report through an agent" if pushing else "")


def _require_unix_socket(url: str) -> None:
    if "host=%2F" not in url and "host=/" not in url:
        raise SettingsError(
            "the demo's worker runs in a network namespace of its own and reaches PostgreSQL through a Unix socket "
            "only: end SINYAL_DATABASE_URL with ?host=/var/run/postgresql, or unset it"
        )


def _allowed(settings: Settings) -> list[str]:
    """Return the networks that may be probed: those of the settings, and the simulated one."""
    return [*settings.probe.allow, LOOPBACK]


def _environment(settings: Settings, script: Script) -> dict[str, str]:
    variables = {
        **child_environment(settings),
        "SINYAL_PROBE__ALLOW": ",".join(_allowed(settings)),
        "SINYAL_ALERTS__ALLOW": ",".join([*settings.alerts.allow, LOOPBACK]),
        "SINYAL_ALERTS__SIMULATED": "true",
        "SINYAL_CANARIES": ",".join(CANARIES),
        "SINYAL_HOST": settings.host,
    }
    if script.interval_s is not None:
        variables["SINYAL_PROBE__INTERVAL_S"] = str(script.interval_s)
    if script.send_every_s is not None:
        variables["SINYAL_PROBE__SEND_EVERY_S"] = str(script.send_every_s)
    return variables


def _children(
    namespace: Namespace | None,
    inside: socket.socket | None,
    url: str,
    settings: Settings,
    script_file: Path | None,
    environment: dict[str, str],
    secret: dict[str, str],
) -> list[Child]:
    worker, ingest = sinyal("worker", "--supervised"), sinyal("ingest", "--supervised")
    api = Child("api", sinyal("api", "--supervised"), environment)
    linked = {"SINYAL_PUBLIC_URL": settings.public_url or address_of(settings)}
    courier = Child("courier", sinyal("courier", "--supervised"), environment | linked)
    if namespace is None or inside is None:
        return [Child("worker", worker, environment), Child("ingest", ingest, environment), api, courier]
    server = "http://{}:{}".format(*INGEST_ADDRESS)
    simulator = [sys.executable, "-m", "simulator", "--data-dir", str(settings.data_dir.resolve()), "--server", server]
    simulator += ["--database-url-env", "SINYAL_DATABASE_URL"]
    simulator += ["--script", str(script_file.resolve())] if script_file else []
    simulator_environment = environment | secret | {"SINYAL_DATABASE_URL": url}
    inner_worker = Child("worker", namespace.command(worker), environment | {"SINYAL_INGEST_URL": server})
    return [
        SimulatorChild(
            "simulator", namespace.command(simulator), simulator_environment, shows_output=False, worker=inner_worker
        ),
        inner_worker,
        Child("ingest", [*ingest, "--listen-fd", str(inside.fileno())], environment, pass_fds=(inside.fileno(),)),
        api,
        courier,
    ]


async def _populate(url: str, script: Script, secret: str) -> str:
    """Register the script's sites, or update what differs, and return a new API token."""
    engine = open_engine(url, name="demo")
    try:
        async with transaction(open_sessions(engine)) as session:
            await providers.ensure_providers(session, PROVIDERS)
            codes, is_new = list(addresses(REGIONS_CSV)), not await session.scalar(HOLDS_ANYTHING)
            await register(session, planned_sites(REGIONS_CSV, script))
            await create_device_tokens(session, secret, codes)
            if is_new and script.registered_s:
                await _backdate(session, script.registered_s)
            return await api_tokens.create_token(session, name="demo", role=Role.PROVINCE_ADMIN, days=30)
    finally:
        await engine.dispose()


async def _backdate(session: AsyncSession, by_s: int) -> None:
    """Register the sites so long ago: what they report of the time before the demo's start is accepted."""
    site_ids = list(await session.scalars(select(Site.id)))
    await backdate_sites(session, site_ids, floor_second(utc_now()) - timedelta(seconds=by_s))


async def _write_history(url: str, script: Script, days: int, *, stop: asyncio.Event, say: Say) -> None:
    """Write the history, unless a signal stops it: nothing is kept then, or the worker goes on counting."""
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
