"""`sinyal doctor`: what this machine and its settings allow, a line a check, with how to mend what is wrong.

No line shows a secret: of an unexpected error only its kind is told.
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import resource
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from secrets import randbits, token_hex
from socket import SOCK_RAW
from typing import TypeVar

import asyncpg
import httpx
from sqlalchemy.engine import make_url

from app import datadir
from app.clock import utc_now
from app.database import connect_args
from app.embedded import Cluster, EmbeddedError, find_url
from app.ledger.blindness import BEAT_TOLERANCE
from app.migrate import head
from app.pgdata import require_our_version
from app.pginstall import identity, major_version
from app.settings import Settings, SettingsError
from app.up import require_port
from probes.contract import CENTRAL, Kind, Outcome, Target
from probes.echo import Echo, IcmpNotPermitted, Ping
from probes.icmp_socket import open_icmp_sockets
from probes.resolve import Resolver, Unresolvable
from probes.sweep import Prober

LIMIT_S, CONNECT_S, HEAR_S = 10.0, 4.0, 2.0
UNREACHABLE = (OSError, TimeoutError, Unresolvable, asyncpg.PostgresError, asyncpg.InterfaceError)

OLDEST_POSTGRES = 15
VILLAGES, RAW_ROW_BYTES, LEAST_FREE_BYTES = 1038, 90, 500_000_000
GOOD_BUFFER, GOOD_FILES = 4 << 20, 4096
ANSWER_BYTES = 768  # what one echo reply takes of a socket's buffer
YEARS = range(2026, 2100)
STA_UNSYNC = 0x40

Say = Callable[[str], None]
T = TypeVar("T")


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    mend: str | None = None

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.what}{f'. {self.mend}' if self.mend else ''}"


Check = Callable[[Settings], Finding | Awaitable[Finding]]


class Away(Exception):
    """There is no database to look into; `check_database` says why."""


async def run(settings: Settings, *, say: Say) -> int:
    """1 if anything is broken; warnings alone are 0."""
    broken = warned = 0
    for looking in [asyncio.create_task(look(check, settings)) for check in CHECKS]:
        finding = await looking
        if finding is not None:
            say(str(finding))
            broken += finding.level is Level.FAIL
            warned += finding.level is Level.WARN
    say(f"{broken} broken, {warned} to look at" if broken or warned else "all is well")
    return 1 if broken else 0


async def look(check: Check, settings: Settings, *, limit_s: float = LIMIT_S) -> Finding | None:
    """Never raises, never hangs. None: it asks a database that does not run."""
    name = getattr(check, "__name__", "check").removeprefix("check_").replace("_", " ")
    try:
        async with asyncio.timeout(limit_s):
            found = await in_thread(lambda: check(settings))
            return found if isinstance(found, Finding) else await found
    except Away:
        return None
    except TimeoutError:
        return Finding(Level.FAIL, f"{name}: no answer within {limit_s:g} s")
    except Exception as error:
        return Finding(Level.FAIL, f"{name}: {why(error)}")


def why(error: Exception) -> str:
    """Our own errors and PostgreSQL's are made for people to read; the text of others may hold anything."""
    if isinstance(error, (SettingsError, EmbeddedError, Unresolvable, asyncpg.PostgresError)):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


async def in_thread(work: Callable[[], T]) -> T:
    """In a daemon thread: unlike to_thread's, one that hangs holds up neither the loop's end nor the process's."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await asyncio.wrap_future(outcome)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the service connects, so that what stands between (a pooler) refuses here what it would refuse there."""
    parsed = make_url(url).set(drivername="postgresql")
    for host in filter(None, (parsed.host or "").split(",")):
        await Resolver().resolve(host)  # a hanging one would hold up asyncpg, and the end of the process with it
    plain = parsed.render_as_string(hide_password=False)
    settings = connect_args("doctor")["server_settings"]
    line = await asyncpg.connect(plain, timeout=CONNECT_S, command_timeout=CONNECT_S, server_settings=settings)
    try:
        yield line
    finally:
        line.terminate()


async def running_url(settings: Settings) -> str:
    """Raises Away when the embedded database does not run, or may not be looked at."""
    try:
        url = settings.database_url or await in_thread(lambda: find_url(settings.data_dir))
    except (EmbeddedError, OSError):
        raise Away from None
    if url is None:
        raise Away
    return url


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    url = await running_url(settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            line = await stack.enter_async_context(connected(url))
        except UNREACHABLE:
            raise Away from None
        yield line


async def check_icmp(settings: Settings) -> Finding:
    try:
        sockets = open_icmp_sockets()
    except IcmpNotPermitted as refusal:
        what, _, mend = str(refusal).partition(": ")
        return Finding(Level.FAIL, f"ICMP: {what}", mend[0].upper() + mend[1:])
    kind = "raw socket" if sockets[0].type == SOCK_RAW else "unprivileged socket"
    reach = f"{kind}, {'IPv4 and IPv6' if len(sockets) > 1 else 'IPv4 alone'}"
    async with Echo.open(sockets=sockets) as echo:
        [pong] = await echo.ping([Ping("127.0.0.1", 3, 0.05, 1.0)])
    if pong.rtts_ns:
        return Finding(Level.OK, f"ICMP: {reach}; 127.0.0.1 answers in {min(pong.rtts_ns) / 1e6:.3f} ms")
    if pings_ignored():
        return Finding(Level.WARN, f"ICMP: {reach}; not tried, since this machine answers no pings itself")
    mend = "Let ICMP echo pass this machine's own firewall"
    return Finding(Level.FAIL, f"ICMP: {reach}, but 127.0.0.1 does not answer ({pong.reason or 'silence'})", mend)


def pings_ignored() -> bool:
    return Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").read_text().strip() == "1"


async def check_database(settings: Settings) -> Finding:
    if settings.database_url is None:
        cluster = Cluster(settings.data_dir)
        if await in_thread(cluster.find_running) is None:
            return await in_thread(lambda: could_run(cluster))
    try:
        async with connected(settings.database_url or Cluster(settings.data_dir).url) as line:
            return await fitness(line, "embedded" if settings.database_url is None else "own")
    except UNREACHABLE as error:
        return Finding(Level.FAIL, f"database: not reachable ({why(error)})", "Check SINYAL_DATABASE_URL")


def could_run(cluster: Cluster) -> Finding:
    """Raises EmbeddedError, with what to do, for a cluster that could not."""
    if cluster.exists():
        require_our_version(cluster.home / "data")
    with tempfile.TemporaryDirectory() as trial:
        who = identity(cluster.home if cluster.home.exists() else Path(trial))
    who.require_passage(nearest(cluster.home.parent) / "postgres")
    state = "does not run" if cluster.exists() else "is not made yet"
    return Finding(
        Level.OK, f"database: the embedded PostgreSQL {major_version()} {state}, and could run",
        "Ask again while `sinyal up` runs, for what only then can be seen",
    )  # fmt: skip


async def fitness(line: asyncpg.Connection, whose: str) -> Finding:
    major = line.get_server_version().major
    what = f"database: {whose} PostgreSQL {major}"
    if major < OLDEST_POSTGRES:
        return Finding(Level.FAIL, f"{what} is too old", f"Move to PostgreSQL {OLDEST_POSTGRES} or newer")
    gist = await line.fetchrow("SELECT installed_version FROM pg_available_extensions WHERE name = 'btree_gist'")
    if gist is None:
        return Finding(Level.FAIL, f"{what} has no btree_gist", "Install PostgreSQL's contrib package on its server")
    may_create = await line.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
    if gist[0] is None and not may_create:
        mend = "As its owner, once: CREATE EXTENSION btree_gist, and GRANT CREATE ON DATABASE to this role"
        return Finding(Level.FAIL, f"{what}: btree_gist is not installed, and this role may not", mend)
    return Finding(Level.OK, f"{what} answers, with btree_gist")


async def check_schema(settings: Settings) -> Finding:
    async with database(settings) as line:
        if not await line.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            return Finding(Level.WARN, "schema: not migrated yet", "`sinyal up` does it, or `sinyal migrate`")
        version = await line.fetchval("SELECT version_num FROM alembic_version")
    if version == await in_thread(head):
        return Finding(Level.OK, f"schema: migrated ({version})")
    mend = "Run `sinyal migrate`, or the release that the database was migrated by"
    return Finding(Level.FAIL, f"schema: {version}, and this release needs {head()}", mend)


async def check_direct_line(settings: Settings) -> Finding:
    """The api hears of changes, and one worker alone leads, only where a session keeps its server process."""
    direct = settings.database_direct_url
    name = "SINYAL_DATABASE_DIRECT_URL" if direct else "the database"
    mend = "Set SINYAL_DATABASE_DIRECT_URL to the same database, past any transaction pooler"
    async with database(settings) as usual:
        try:
            async with connected(direct or await running_url(settings)) as line:
                heard, locked = await hears(line, usual), await locks(line, usual)
        except UNREACHABLE as error:
            return Finding(Level.FAIL, f"direct line: {name} is not reachable ({why(error)})", mend)
    if heard and locked:
        return Finding(Level.OK, f"direct line: {name} passes on notifications and keeps advisory locks")
    lost = " and ".join(word for word, works in (("notifications", heard), ("advisory locks", locked)) if not works)
    return Finding(Level.FAIL, f"direct line: {lost} are lost on the way to {name}", mend)


async def hears(line: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    heard, channel = asyncio.Event(), f"sinyal_doctor_{token_hex(8)}"
    await line.add_listener(channel, lambda *_: heard.set())
    await other.execute("SELECT pg_notify($1, '')", channel)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(heard.wait(), HEAR_S)
    return heard.is_set()


async def locks(line: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    key = randbits(62)
    taken = await line.fetchval("SELECT pg_try_advisory_lock($1)", key)
    return bool(taken and not await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", key))


async def check_worker(settings: Settings) -> Finding:
    async with database(settings) as line:
        try:
            row = await line.fetchrow("SELECT beat_at, blind_since FROM worker_beat WHERE source = $1", CENTRAL)
        except asyncpg.UndefinedTableError:
            raise Away from None
    if row is None:
        return Finding(Level.WARN, "worker: none has worked on this database yet", "Start `sinyal up`")
    age = utc_now() - row["beat_at"]
    if abs(age) > BEAT_TOLERANCE:
        mend = "Nothing is measured meanwhile: start `sinyal up` (or `sinyal worker`), and read its log"
        return Finding(Level.FAIL, f"worker: its last beat is {age.total_seconds():,.0f} s old", mend)
    if row["blind_since"] is not None:
        since = f"{row['blind_since']:%Y-%m-%d %H:%M:%S} UTC"
        return Finding(Level.WARN, f"worker: blind since {since}", "No canary answers: look at our own uplink")
    return Finding(Level.OK, f"worker: beat {max(0.0, age.total_seconds()):.1f} s ago")


class Timex(ctypes.Structure):
    """The head of Linux's struct timex; the kernel writes all of it."""

    _fields_ = (
        ("modes", ctypes.c_uint), *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def check_clock(settings: Settings) -> Finding:
    now = datetime.fromtimestamp(time.time(), tz=utc_now().tzinfo)
    mend = "Run a time service: `timedatectl set-ntp true`, or chrony"
    if now.year not in YEARS:
        return Finding(Level.FAIL, f"clock: it says {now:%Y-%m-%d}", mend)
    timex = Timex()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return Finding(
            Level.WARN, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC; whether it is synchronised cannot be seen here"
        )
    if timex.status & STA_UNSYNC:
        return Finding(Level.WARN, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC, not synchronised by a time service", mend)
    return Finding(Level.OK, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC, synchronised")


def check_data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir.resolve()
    what = f"data folder: {folder}"
    if not folder.exists():
        if os.access(nearest(folder), os.W_OK | os.X_OK):
            return Finding(Level.OK, f"{what} is not there yet, and can be made")
        return Finding(Level.FAIL, f"{what} cannot be made", "Set SINYAL_DATA_DIR to a place this user may write to")
    purpose, about = datadir.purpose_of(folder), folder.stat()
    if not purpose and datadir.holds_something(folder):
        return Finding(Level.FAIL, f"{what} is not empty and not ours", "Set SINYAL_DATA_DIR to another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(Level.FAIL, f"{what} may not be written to", "Run as its owner, or set SINYAL_DATA_DIR")
    if mode := stat.S_IMODE(about.st_mode) & 0o077:
        return Finding(Level.WARN, f"{what} is open to others ({mode:#o})", f"Close it: chmod 700 {folder}")
    if about.st_uid != os.geteuid():
        owner = account(about.st_uid)
        return Finding(Level.WARN, f"{what} is {owner}'s, who may be allowed less", f"Ask again as {owner}")
    return Finding(Level.OK, f"{what}, {f'ours (`{command(purpose)}`)' if purpose else 'empty'}, closed to others")


def command(purpose: str) -> str:
    return "sinyal demo" if purpose == datadir.DEMO else "sinyal up"


def account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


async def check_disk(settings: Settings) -> Finding:
    sites, used = VILLAGES, 0
    with contextlib.suppress(Away, asyncpg.UndefinedTableError):
        async with database(settings) as line:
            used = await line.fetchval("SELECT pg_database_size(current_database())")
            sites = await line.fetchval("SELECT count(*) FROM site WHERE lifecycle = 'active'") or VILLAGES
    folder = settings.data_dir.resolve()
    free = (await in_thread(lambda: shutil.disk_usage(nearest(folder)))).free
    days = settings.raw_retention_days
    need = sites * 86_400 // (settings.probe.interval_s or 60) * RAW_ROW_BYTES * days
    where = "" if settings.database_url is None else " on the database's server"
    what = f"disk: {gb(free)} free at {folder}; {days} days of {sites:,} sites' readings take about {gb(need)}{where}"
    if free < LEAST_FREE_BYTES:
        return Finding(Level.FAIL, what, "Make room")
    if settings.database_url is None and free + used < need:
        return Finding(Level.WARN, what, "Make room, or lower SINYAL_RAW_RETENTION_DAYS")
    return Finding(Level.OK, what)


def gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def check_receive_buffer(settings: Settings) -> Finding:
    try:
        size = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except FileNotFoundError:
        return Finding(Level.WARN, "receive buffer: net.core.rmem_max cannot be seen here", "Look on the host")
    what = f"receive buffer: net.core.rmem_max = {size}, room for {2 * size // ANSWER_BYTES:,} answers at once"
    if size >= GOOD_BUFFER:
        return Finding(Level.OK, what)
    return Finding(
        Level.WARN, what, f"For more, so that a burst is not lost: sysctl -w net.core.rmem_max={GOOD_BUFFER}"
    )


async def check_canaries(settings: Settings) -> Finding:
    if await in_thread(lambda: datadir.purpose_of(settings.data_dir)) == datadir.DEMO and not settings.canaries:
        return Finding(Level.OK, "canaries: the demo simulates its own")
    mend = "Set SINYAL_CANARIES to at least two addresses beyond our own uplink"
    if not settings.canaries:
        return Finding(Level.WARN, "canaries: none set, so a dead uplink of ours would look like their outage", mend)
    async with Prober.open(settings.probe.policy) as prober:
        if prober.icmp_problem:
            return Finding(Level.WARN, "canaries: not asked, without ICMP")
        readings = await prober.sweep([
            Target(number, int(time.time()), Kind.ICMP, host, packets=3, spacing_s=0.3, timeout_s=1.5)
            for number, host in enumerate(settings.canaries)
        ])  # fmt: skip
    silent = [
        f"{host} ({reading.reason or 'silent'})"
        for host, reading in zip(settings.canaries, readings, strict=True)
        if reading.outcome is not Outcome.OK
    ]
    if len(silent) == len(settings.canaries):
        mend = "While it stays so nothing can be judged: look at our own uplink, and at SINYAL_CANARIES"
        return Finding(Level.FAIL, f"canaries: none answers: {', '.join(silent)}", mend)
    if silent:
        return Finding(Level.WARN, f"canaries: not answering: {', '.join(silent)}", "Mend or replace SINYAL_CANARIES")
    if len(readings) < 2:
        return Finding(Level.WARN, "canaries: one alone, and its own outage would look like ours", mend)
    return Finding(Level.OK, f"canaries: all {len(readings)} answer")


def check_open_files(settings: Settings) -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= GOOD_FILES:
        return Finding(Level.OK, f"open files: {'unlimited' if limit < 0 else f'{limit:,}'} allowed")
    mend = "Each dashboard and each tcp or http look takes one: ulimit -n 65536, or LimitNOFILE=65536 in systemd"
    return Finding(Level.WARN, f"open files: only {limit:,} allowed", mend)


def check_heartbeat(settings: Settings) -> Finding:
    """Not tried: a beat from here would tell the watcher that rounds run."""
    if settings.heartbeat_url is not None:
        return Finding(Level.OK, "heartbeat: an outside watcher is set")
    mend = "Set SINYAL_HEARTBEAT_URL to an outside watcher"
    return Finding(Level.WARN, "heartbeat: none set, so nobody is told when measuring stops", mend)


async def check_port(settings: Settings) -> Finding:
    where = f"port: {settings.host}:{settings.port}"
    try:
        require_port(settings)
        return Finding(Level.OK, f"{where} is free")
    except SettingsError as taken:
        problem = str(taken)
    readiness = await ask_readiness(settings)
    if readiness is None:
        return Finding(Level.FAIL, f"port: {problem}")
    if readiness:
        return Finding(Level.WARN, f"{where} is ours, not ready: {'; '.join(readiness)}")
    return Finding(Level.OK, f"{where} is ours, and ready")


async def ask_readiness(settings: Settings) -> list[str] | None:
    """What it is not ready for; None if what listens there is not us."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    url = httpx.URL(scheme="http", host=host, port=settings.port, path="/readyz")
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            body = (await client.get(url)).json()
        return [str(problem) for problem in body["problems"]] if "worker_beat_age_s" in body else None
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


CHECKS: tuple[Check, ...] = (
    check_icmp, check_receive_buffer, check_canaries, check_clock,
    check_data_folder, check_disk, check_open_files, check_port,
    check_database, check_schema, check_direct_line, check_worker, check_heartbeat,
)  # fmt: skip
