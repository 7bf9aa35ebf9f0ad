import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.cli.doctor import checkup, database, machine, network, push
from app.cli.doctor.finding import Check, Finding, Level
from app.core.clock import utc_now
from app.postgres.engine import open_engine
from app.runtime import data_dir
from app.runtime.migrate import migrate
from app.settings import ROOT, ProbeSettings, Settings
from probes.icmp_socket import IcmpNotPermitted, open_icmp_sockets
from tests.conftest import drop_database, make_database

SECRET = "s3cret"
PUSHING = """
    INSERT INTO site (kind, code, name, village_code, technology, provider_id, probe, lifecycle, link_role, host_static,
        addressed_at, created_at, updated_at, version)
    SELECT 'access_point', '64.02.05.2003-01', 'Doctor', '64.02.05.2003', 'leo', id, 'push', 'active', 'primary', true,
        now(), now(), now(), 1 FROM provider LIMIT 1
"""
SEES_LOOPBACK = ProbeSettings(allow=["127.0.0.0/8"])


@pytest.fixture(scope="module")
async def empty_url(server_url: str) -> AsyncIterator[str]:
    url = await make_database(server_url)
    yield url
    await drop_database(url, server_url)


@pytest.fixture(scope="module")
async def migrated_url(server_url: str) -> AsyncIterator[str]:
    """A database of this module's own: what doctor sees must be committed."""
    url = await make_database(server_url)
    engine = open_engine(url, name="test")
    await migrate(engine)
    await engine.dispose()
    yield url
    await drop_database(url, server_url)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        yield int(trial.getsockname()[1])


def pings_permitted() -> bool:
    try:
        for sock in open_icmp_sockets():
            sock.close()
    except IcmpNotPermitted:
        return False
    return True


needs_icmp = pytest.mark.skipif(not pings_permitted(), reason="no ICMP for this user here")


async def found(check: Check, **settings: Any) -> Finding:
    finding = await checkup.look(check, Settings(**settings))
    assert finding is not None
    assert "\n" not in str(finding)
    return finding


async def execute(url: str, *statement: Any) -> None:
    line = await asyncpg.connect(url.replace("+asyncpg", ""))
    await line.execute(*statement)
    await line.close()


async def test_icmp_is_tried_and_where_it_is_not_permitted_it_says_what_to_set() -> None:
    finding = await found(network.check_icmp)
    if pings_permitted():
        assert finding.level is not Level.FAIL
        assert " socket, IPv4" in finding.what
    else:
        assert finding.level is Level.FAIL
        assert "CAP_NET_RAW" in str(finding)
        assert "net.ipv4.ping_group_range" in str(finding)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give up CAP_NET_RAW")
def test_without_cap_net_raw_it_is_the_unprivileged_socket_or_what_to_set(tmp_path: Path) -> None:
    lines = run_doctor(tmp_path, prefix=["setpriv", "--bounding-set=-net_raw"]).stdout.splitlines()
    [line] = [line for line in lines if "ICMP: " in line]
    assert "unprivileged socket" in line or ("FAIL" in line and "Grant CAP_NET_RAW" in line)


async def test_a_database_of_ones_own_is_looked_at(migrated_url: str) -> None:
    finding = await found(database.check_database, database_url=migrated_url)
    assert finding.level is Level.OK
    assert "own PostgreSQL" in finding.what
    assert (await found(database.check_schema, database_url=migrated_url)).level is Level.OK
    assert (await found(database.check_direct_line, database_url=migrated_url)).level is Level.OK


async def test_an_unreachable_database_fails_once_and_shows_no_password(port: int) -> None:
    url = f"postgresql://sinyal:{SECRET}@127.0.0.1:{port}/sinyal"
    finding = await found(database.check_database, database_url=url)
    assert finding.level is Level.FAIL
    assert "SINYAL_DATABASE_URL" in str(finding)
    assert SECRET not in str(finding)
    for check in (database.check_schema, database.check_direct_line, database.check_worker):
        assert await checkup.look(check, Settings(database_url=url)) is None


async def test_a_wrong_password_is_told_in_the_servers_words(embedded_url: str) -> None:
    wrong = make_url(embedded_url).set(password=SECRET).render_as_string(hide_password=False)
    finding = await found(database.check_database, database_url=wrong)
    assert "password authentication failed" in finding.what
    assert SECRET not in str(finding)


async def test_a_database_that_is_not_migrated_yet_is_a_warning(empty_url: str) -> None:
    finding = await found(database.check_schema, database_url=empty_url)
    assert (finding.level, "sinyal migrate" in str(finding)) == (Level.WARN, True)
    assert await checkup.look(database.check_worker, Settings(database_url=empty_url)) is None


async def test_a_schema_of_another_release_fails(empty_url: str) -> None:
    await execute(empty_url, "CREATE TABLE alembic_version AS SELECT 'from_the_future' AS version_num")
    finding = await found(database.check_schema, database_url=empty_url)
    await execute(empty_url, "DROP TABLE alembic_version")
    assert finding.level is Level.FAIL
    assert "from_the_future" in finding.what


async def test_a_direct_line_to_another_database_hears_and_locks_nothing(migrated_url: str, empty_url: str) -> None:
    finding = await found(database.check_direct_line, database_url=migrated_url, database_direct_url=empty_url)
    assert finding.level is Level.FAIL
    assert "notifications and advisory locks are lost" in finding.what


async def test_a_direct_line_that_does_not_answer_fails(migrated_url: str, port: int) -> None:
    direct = f"postgresql://sinyal:{SECRET}@127.0.0.1:{port}/sinyal"
    finding = await found(database.check_direct_line, database_url=migrated_url, database_direct_url=direct)
    assert (finding.level, SECRET in str(finding)) == (Level.FAIL, False)


async def test_the_embedded_database_that_runs_is_found_by_its_folder(embedded_url: str) -> None:
    host = str(make_url(embedded_url).query["host"])
    finding = await found(database.check_database, database_url=None, data_dir=Path(host).parent.parent)
    assert (finding.level, "embedded PostgreSQL" in finding.what) == (Level.OK, True)


async def test_the_embedded_database_that_is_not_made_yet_could_run(tmp_path: Path) -> None:
    finding = await found(database.check_database, database_url=None, data_dir=tmp_path / "var")
    assert finding.level is Level.OK
    assert "is not made yet, and could run" in finding.what
    assert await checkup.look(database.check_worker, Settings(database_url=None, data_dir=tmp_path / "var")) is None
    assert os.listdir(tmp_path) == []


async def test_data_of_another_postgresql_fails_with_the_way_to_move_it(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    finding = await found(database.check_database, database_url=None, data_dir=tmp_path)
    assert finding.level is Level.FAIL
    assert "made by PostgreSQL 12" in finding.what
    assert "sinyal restore" in finding.what


@pytest.mark.parametrize(
    ("age_s", "blind", "level"), [(2, False, Level.OK), (2, True, Level.WARN), (600, False, Level.FAIL)]
)
async def test_a_worker_is_judged_by_its_last_beat(migrated_url: str, age_s: int, blind: bool, level: Level) -> None:
    beat = utc_now() - timedelta(seconds=age_s)
    await execute(
        migrated_url,
        "INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)"
        " VALUES ('central', $1, $1, $2, '{}')",
        beat,
        beat if blind else None,
    )
    finding = await found(database.check_worker, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM worker_beat")
    assert finding.level is level


async def test_a_worker_that_never_was_is_no_dead_worker(migrated_url: str) -> None:
    assert (await found(database.check_worker, database_url=migrated_url)).level is Level.WARN


async def test_sites_that_report_themselves_want_an_address(migrated_url: str) -> None:
    finding = await found(push.check_public_url, database_url=migrated_url)
    assert (finding.level, "no site reports itself" in finding.what) == (Level.OK, True)
    await execute(migrated_url, "INSERT INTO provider (slug, name) VALUES ('doctor', 'Doctor')")
    await execute(migrated_url, PUSHING)
    without = await found(push.check_public_url, database_url=migrated_url)
    public = await found(push.check_public_url, database_url=migrated_url, public_url="https://sinyal.example.id")
    await execute(migrated_url, "DELETE FROM site")
    assert (without.level, "1 sites" in without.what, public.level) == (Level.WARN, True, Level.OK)


@pytest.mark.parametrize(
    ("sent", "deaf", "level"), [(0, None, Level.OK), (9, False, Level.OK), (9, True, Level.FAIL), (9, None, Level.FAIL)]
)
async def test_whether_devices_are_heard_is_told_by_our_own_beat(
    migrated_url: str, sent: int, deaf: bool | None, level: Level
) -> None:
    insert = (
        "INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)"
        " VALUES ($1, now(), now(), $2, jsonb_build_object('own_beats_sent', $3::int))"
    )
    await execute(migrated_url, insert, "central", None, sent)
    if deaf is not None:
        await execute(migrated_url, insert, "silence", utc_now() if deaf else None, 0)
    finding = await found(push.check_ingest, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM worker_beat")
    assert finding.level is level


@pytest.mark.parametrize(
    ("waits_s", "aside", "level"), [(2, False, Level.OK), (300, False, Level.FAIL), (300, True, Level.WARN)]
)
async def test_what_came_and_nobody_takes_in_is_told(
    migrated_url: str, waits_s: int, aside: bool, level: Level
) -> None:
    came = utc_now() - timedelta(seconds=waits_s)
    await execute(
        migrated_url,
        "INSERT INTO push_inbox (site_id, received_at, rows, refused_at) VALUES (NULL, $1, '[]', $2)",
        came,
        came if aside else None,
    )
    finding = await found(push.check_inbox, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM push_inbox")
    assert finding.level is level


async def test_of_the_field_nothing_is_asked_where_there_are_no_tables(empty_url: str) -> None:
    for check in (push.check_public_url, push.check_ingest, push.check_inbox):
        assert await checkup.look(check, Settings(database_url=empty_url)) is None


async def test_the_clock_is_read_and_a_senseless_year_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = await found(machine.check_clock)
    assert finding.level is not Level.FAIL
    assert "synchronised" in finding.what
    monkeypatch.setattr(machine, "YEARS", range(1970, 1971))
    assert (await found(machine.check_clock)).level is Level.FAIL


async def test_the_disk_is_held_against_what_raw_readings_need(tmp_path: Path) -> None:
    enough = await found(machine.check_disk, database_url=None, data_dir=tmp_path / "var", raw_retention_days=8)
    assert "8 days of 1,038 sites' readings take about 1.1 GB" in enough.what
    short = await found(machine.check_disk, database_url=None, data_dir=tmp_path, raw_retention_days=10**8)
    assert (short.level, "SINYAL_RAW_RETENTION_DAYS" in str(short)) == (Level.WARN, True)


async def test_a_data_folder_is_ours_or_empty_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    assert (await found(machine.check_data_folder, data_dir=folder)).level is Level.OK
    data_dir.claim(folder, data_dir.SERVICE)
    ours = await found(machine.check_data_folder, data_dir=folder)
    assert (ours.level, "`sinyal up`" in ours.what) == (Level.OK, True)
    folder.chmod(0o755)
    assert "chmod 700" in str(await found(machine.check_data_folder, data_dir=folder))
    (tmp_path / "thesis.doc").touch()
    foreign = await found(machine.check_data_folder, data_dir=tmp_path)
    assert (foreign.level, "not ours" in foreign.what) == (Level.FAIL, True)


async def test_a_data_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
        finding = await found(machine.check_data_folder, data_dir=tmp_path)
        assert (finding.level, "may be allowed less" in finding.what) == (Level.WARN, True)
    else:
        os.chmod(tmp_path, 0o500)
        finding = await found(machine.check_data_folder, data_dir=tmp_path)
        below = await found(machine.check_data_folder, data_dir=tmp_path / "var")
        os.chmod(tmp_path, 0o700)
        assert (finding.level, below.level) == (Level.FAIL, Level.FAIL)


async def test_a_small_receive_buffer_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    if (finding := await found(network.check_receive_buffer)).level is Level.OK:
        assert finding.mend is None
    monkeypatch.setattr(network, "GOOD_BUFFER", 1 << 40)
    finding = await found(network.check_receive_buffer)
    assert (finding.level, "rmem_max" in str(finding)) == (Level.WARN, True)


async def test_no_canaries_is_a_warning_except_in_a_demo(tmp_path: Path) -> None:
    finding = await found(network.check_canaries, canaries=[], data_dir=tmp_path)
    assert (finding.level, "at least two" in str(finding)) == (Level.WARN, True)
    data_dir.claim(tmp_path, data_dir.DEMO)
    assert (await found(network.check_canaries, canaries=[], data_dir=tmp_path)).level is Level.OK


@needs_icmp
@pytest.mark.parametrize(
    ("canaries", "level"),
    [
        (["127.0.0.1", "127.0.0.2"], Level.OK),
        (["127.0.0.1"], Level.WARN),
        (["127.0.0.1", "10.0.0.1"], Level.WARN),
        (["10.0.0.1", "10.0.0.2"], Level.FAIL),
    ],
)
async def test_each_canary_is_asked(canaries: list[str], level: Level, tmp_path: Path) -> None:
    """10/8 is where probes may not go: never answered, and nothing is sent there."""
    finding = await found(network.check_canaries, canaries=canaries, probe=SEES_LOOPBACK, data_dir=tmp_path)
    assert finding.level is level
    assert ("10.0.0.1 (" in finding.what) == ("10.0.0.1" in canaries)


async def test_few_open_files_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "allowed" in (await found(machine.check_open_files)).what
    monkeypatch.setattr(machine, "GOOD_FILES", 1 << 62)
    assert "LimitNOFILE" in str(await found(machine.check_open_files))


async def test_the_heartbeat_is_asked_for_and_its_address_kept() -> None:
    assert (await found(network.check_heartbeat, heartbeat_url=None)).level is Level.WARN
    finding = await found(network.check_heartbeat, heartbeat_url=f"https://watch.example/{SECRET}")
    assert (finding.level, SECRET in str(finding)) == (Level.OK, False)


async def test_a_port_is_free_or_somebody_elses(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        free = listener.getsockname()[1]
    assert (await found(network.check_port, port=free)).level is Level.OK

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as stranger:
        taken = stranger.sockets[0].getsockname()[1]
        finding = await found(network.check_port, port=taken)
    assert (finding.level, "SINYAL_PORT" in str(finding)) == (Level.FAIL, True)


async def test_a_port_that_we_serve_is_ours(migrated_url: str, tmp_path: Path) -> None:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    env = {"SINYAL_DATABASE_URL": migrated_url, "SINYAL_PORT": str(port), "PATH": os.environ["PATH"]}
    api = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "api", env=env, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 10
        while (finding := await found(network.check_port, port=port)).what.endswith("is free"):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        assert (finding.level is not Level.FAIL, "is ours" in finding.what) == (True, True)
    finally:
        api.terminate()
        await api.wait()


def raises(_: Settings) -> Finding:
    raise ValueError(f"postgresql://sinyal:{SECRET}@db")


def sleeps(_: Settings) -> Finding:
    time.sleep(2)
    return Finding(Level.OK, "too late")


async def waits(_: Settings) -> Finding:
    await asyncio.sleep(60)
    return Finding(Level.OK, "too late")


async def test_a_check_that_raises_is_told_by_its_kind_alone() -> None:
    assert await checkup.look(raises, Settings()) == Finding(Level.FAIL, "raises: ValueError")


@pytest.mark.parametrize("check", [sleeps, waits])
async def test_a_check_that_hangs_is_given_up(check: Callable[[Settings], Finding | Awaitable[Finding]]) -> None:
    finding = await checkup.look(check, Settings(), limit_s=0.1)
    assert finding == Finding(Level.FAIL, f"{check.__name__}: no answer within 0.1 s")


@pytest.mark.parametrize(("level", "code"), [(Level.OK, 0), (Level.WARN, 0), (Level.FAIL, 1)])
async def test_only_what_is_broken_ends_with_1(level: Level, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(checkup, "CHECKS", (lambda _: Finding(level, "it is so", "Mend it"),))
    assert await checkup.run(Settings(), say=lines.append) == code
    assert lines[0] == f"{level:<4}  it is so. Mend it"


def run_doctor(folder: Path, *, prefix: list[str] | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(prefix or []), sys.executable, "-m", "app.cli", "doctor"],
        env={"PATH": os.environ["PATH"], "SINYAL_DATA_DIR": str(folder / "var")} | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_says_a_line_a_check_and_no_secret(port: int, tmp_path: Path) -> None:
    """A server that takes connections and never says a word: the longest that doctor can be made to wait."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://sinyal:{SECRET}@127.0.0.1:{mute.getsockname()[1]}/sinyal"
        begun = time.monotonic()
        ended = run_doctor(tmp_path, SINYAL_DATABASE_URL=url, SINYAL_HEARTBEAT_URL=f"https://w.example/{SECRET}")
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert [line for line in lines[:-1] if line[:6] not in {"ok    ", "warn  ", "FAIL  "}] == []
    assert [line for line in lines if "FAIL  database: not reachable" in line]
    assert SECRET not in ended.stdout
    assert time.monotonic() - begun < 15
