"""`sinyal doctor`: each check by itself, and the command as a subprocess."""

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

from app.cli.doctor import alerts, checkup, database, machine, network, push
from app.cli.doctor.check_result import Check, CheckResult, CheckStatus
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.runtime import data_dir, instance
from app.settings import ROOT, ProbeSettings, Settings
from probes.icmp_socket import IcmpNotPermitted, open_icmp_sockets
from tests.conftest import drop_database, make_database
from tests.support.demo_process import free_port

pytestmark = pytest.mark.real_time

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
async def migrated_url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """A database of this module's own: what doctor sees must be committed."""
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is taken, and on which nothing listens."""
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


async def result_of(check: Check, **settings: Any) -> CheckResult:
    """Run a check that is applicable."""
    result = await checkup.run_check(check, Settings(**settings))
    assert result is not None
    assert "\n" not in str(result)
    return result


async def execute(url: str, *statement: Any) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(*statement)
    await connection.close()


async def test_icmp_is_tried_or_the_missing_permission_is_named() -> None:
    result = await result_of(network.check_icmp)
    if pings_permitted():
        assert result.status is not CheckStatus.FAIL
        assert " socket, IPv4" in result.text
    else:
        assert result.status is CheckStatus.FAIL
        assert "CAP_NET_RAW" in str(result)
        assert "net.ipv4.ping_group_range" in str(result)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give up CAP_NET_RAW")
def test_without_cap_net_raw_the_unprivileged_socket_is_used_or_the_remedy_named(tmp_path: Path) -> None:
    lines = run_doctor(tmp_path, prefix=["setpriv", "--bounding-set=-net_raw"]).stdout.splitlines()
    [line] = [line for line in lines if "ICMP: " in line]
    assert "unprivileged socket" in line or ("FAIL" in line and "Grant CAP_NET_RAW" in line)


async def test_an_external_database_is_checked(migrated_url: str) -> None:
    result = await result_of(database.check_database, database_url=migrated_url)
    assert result.status is CheckStatus.OK
    assert "external PostgreSQL" in result.text
    assert (await result_of(database.check_schema, database_url=migrated_url)).status is CheckStatus.OK
    assert (await result_of(database.check_direct_connection, database_url=migrated_url)).status is CheckStatus.OK


async def test_an_unreachable_database_fails_once_and_shows_no_password(port: int) -> None:
    url = f"postgresql://sinyal:{SECRET}@127.0.0.1:{port}/sinyal"
    result = await result_of(database.check_database, database_url=url)
    assert result.status is CheckStatus.FAIL
    assert "SINYAL_DATABASE_URL" in str(result)
    assert SECRET not in str(result)
    for check in (database.check_schema, database.check_direct_connection, database.check_worker):
        assert await checkup.run_check(check, Settings(database_url=url)) is None


async def test_a_wrong_password_is_reported_in_the_servers_words(embedded_url: str) -> None:
    wrong = make_url(embedded_url).set(password=SECRET).render_as_string(hide_password=False)
    result = await result_of(database.check_database, database_url=wrong)
    assert "password authentication failed" in result.text
    assert SECRET not in str(result)


async def test_a_database_that_is_not_migrated_yet_is_a_warning(empty_url: str) -> None:
    result = await result_of(database.check_schema, database_url=empty_url)
    assert (result.status, "sinyal migrate" in str(result)) == (CheckStatus.WARN, True)
    assert await checkup.run_check(database.check_worker, Settings(database_url=empty_url)) is None


@pytest.mark.parametrize(
    ("revision", "status"),
    [("from_the_future", CheckStatus.WARN), ("20261129_inbox_backlog", CheckStatus.FAIL)],
    ids=["newer: it works, until this machine is upgraded", "older: to be migrated"],
)
async def test_a_schema_of_another_release_is_told(empty_url: str, revision: str, status: CheckStatus) -> None:
    await execute(empty_url, f"CREATE TABLE alembic_version AS SELECT '{revision}' AS version_num")
    result = await result_of(database.check_schema, database_url=empty_url)
    await execute(empty_url, "DROP TABLE alembic_version")
    assert result.status is status
    assert revision in result.text


async def test_a_direct_connection_to_another_database_loses_notifications_and_locks(
    migrated_url: str, empty_url: str
) -> None:
    result = await result_of(database.check_direct_connection, database_url=migrated_url, database_direct_url=empty_url)
    assert result.status is CheckStatus.FAIL
    assert "notifications and advisory locks are lost" in result.text


async def test_a_direct_connection_that_does_not_answer_fails(migrated_url: str, port: int) -> None:
    direct = f"postgresql://sinyal:{SECRET}@127.0.0.1:{port}/sinyal"
    result = await result_of(database.check_direct_connection, database_url=migrated_url, database_direct_url=direct)
    assert (result.status, SECRET in str(result)) == (CheckStatus.FAIL, False)


async def test_the_running_embedded_database_is_found_by_its_folder(embedded_url: str) -> None:
    host = str(make_url(embedded_url).query["host"])
    result = await result_of(database.check_database, database_url=None, data_dir=Path(host).parent.parent)
    assert (result.status, "embedded PostgreSQL" in result.text) == (CheckStatus.OK, True)


async def test_an_embedded_database_not_created_yet_can_be_started(tmp_path: Path) -> None:
    result = await result_of(database.check_database, database_url=None, data_dir=tmp_path / "var")
    assert result.status is CheckStatus.OK
    assert "is not created yet, and can be started" in result.text
    assert (
        await checkup.run_check(database.check_worker, Settings(database_url=None, data_dir=tmp_path / "var")) is None
    )
    assert os.listdir(tmp_path) == []


async def test_data_of_another_postgresql_fails_with_the_way_to_migrate_it(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    result = await result_of(database.check_database, database_url=None, data_dir=tmp_path)
    assert result.status is CheckStatus.FAIL
    assert "created by PostgreSQL 12" in result.text
    assert "sinyal restore" in result.text


@pytest.mark.parametrize(
    ("age_s", "blind", "status"),
    [(2, False, CheckStatus.OK), (2, True, CheckStatus.WARN), (600, False, CheckStatus.FAIL)],
)
async def test_a_worker_is_judged_by_its_last_beat(
    migrated_url: str, age_s: int, blind: bool, status: CheckStatus
) -> None:
    beat = utc_now() - timedelta(seconds=age_s)
    await execute(
        migrated_url,
        "INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)"
        " VALUES ('central', $1, $1, $2, '{}')",
        beat,
        beat if blind else None,
    )
    result = await result_of(database.check_worker, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM worker_beat")
    assert result.status is status


async def test_a_worker_that_never_ran_is_a_warning(migrated_url: str) -> None:
    assert (await result_of(database.check_worker, database_url=migrated_url)).status is CheckStatus.WARN


async def test_alerts_need_their_secret_key_a_courier_and_channels_that_accept(migrated_url: str) -> None:
    own, other = (
        Settings(database_url=migrated_url, secret_key=[letter * 32], public_url="https://sinyal.example")
        for letter in "oz"
    )

    async def status(settings: Settings) -> CheckStatus | None:
        result = await checkup.run_check(alerts.check_courier, settings)
        return None if result is None else result.status

    assert await status(own) is CheckStatus.OK, "no channels yet"
    await execute(
        migrated_url,
        "INSERT INTO channel (region_code, name, service, target, target_hint, created_by, version)"
        " VALUES ('64', 'x', 'webhook', $1, '', 'ana', 1)",
        Sealer(own.secret_key).seal("https://hooks.example"),
    )
    assert [await status(own), await status(other)] == [CheckStatus.FAIL, CheckStatus.FAIL]
    await execute(migrated_url, "INSERT INTO courier_beat VALUES (1, now(), now())")
    assert [await status(own), await status(other)] == [CheckStatus.OK, CheckStatus.FAIL]
    assert await status(own.model_copy(update={"public_url": None})) is CheckStatus.WARN, "messages without links"
    await execute(migrated_url, "UPDATE channel SET failures = 1")
    assert await status(own) is CheckStatus.WARN
    await execute(migrated_url, "TRUNCATE channel CASCADE")


async def test_an_https_url_without_a_trusted_proxy_is_warned_of() -> None:
    url = "https://sinyal.example"
    warned = await result_of(network.check_proxy, public_url=url)
    assert (warned.status, "SINYAL_TRUSTED_PROXIES" in str(warned)) == (CheckStatus.WARN, True)
    trusting = await result_of(network.check_proxy, public_url=url, trusted_proxies=["127.0.0.1"])
    direct = await result_of(network.check_proxy)
    assert (trusting.status, direct.status) == (CheckStatus.OK, CheckStatus.OK)


async def test_agents_that_report_to_the_api_itself_are_warned_of() -> None:
    direct = "http://192.0.2.1:8000"
    warned = await result_of(push.check_public_url, public_url=direct)
    assert (warned.status, "SINYAL_INGEST_URL" in str(warned)) == (CheckStatus.WARN, True)
    for apart in ({"public_url": direct, "ingest_url": "http://192.0.2.1:8001"}, {"public_url": "https://sinyal.id"}):
        assert (await result_of(push.check_public_url, **apart)).status is CheckStatus.OK


async def test_push_sites_need_a_public_url(migrated_url: str) -> None:
    result = await result_of(push.check_public_url, database_url=migrated_url)
    assert (result.status, "no site reports through an agent" in result.text) == (CheckStatus.OK, True)
    await execute(migrated_url, "INSERT INTO provider (slug, name) VALUES ('doctor', 'Doctor')")
    await execute(migrated_url, PUSHING)
    without = await result_of(push.check_public_url, database_url=migrated_url)
    public = await result_of(push.check_public_url, database_url=migrated_url, public_url="https://sinyal.example.id")
    await execute(migrated_url, "DELETE FROM site")
    assert (without.status, "1 sites" in without.text, public.status) == (CheckStatus.WARN, True, CheckStatus.OK)


@pytest.mark.parametrize(
    ("age_s", "sent", "deaf", "status"),
    [
        (600, 0, None, CheckStatus.OK),
        (600, 9, False, CheckStatus.OK),
        (600, 9, True, CheckStatus.FAIL),
        (600, 9, None, CheckStatus.FAIL),
        (5, 1, True, CheckStatus.WARN),
        (5, 1, None, CheckStatus.WARN),
        (5, 1, False, CheckStatus.OK),
    ],
)
async def test_ingest_is_judged_by_the_workers_own_push_beat_once_the_worker_has_started(
    migrated_url: str, age_s: int, sent: int, deaf: bool | None, status: CheckStatus
) -> None:
    started_at = utc_now() - timedelta(seconds=age_s)
    insert = (
        "INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)"
        " VALUES ($1, now(), $2, $3, jsonb_build_object('own_beats_sent', $4::int))"
    )
    await execute(migrated_url, insert, "central", started_at, None, sent)
    if deaf is not None:
        await execute(migrated_url, insert, "silence", started_at, started_at if deaf else None, 0)
    result = await result_of(push.check_ingest, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM worker_beat")
    assert result.status is status
    assert ("just starting" in result.text) == (status is CheckStatus.WARN)


@pytest.mark.parametrize(
    ("waits_s", "aside", "status"),
    [(2, False, CheckStatus.OK), (300, False, CheckStatus.FAIL), (300, True, CheckStatus.WARN)],
)
async def test_a_push_that_is_not_processed_is_reported(
    migrated_url: str, waits_s: int, aside: bool, status: CheckStatus
) -> None:
    came = utc_now() - timedelta(seconds=waits_s)
    await execute(
        migrated_url,
        "INSERT INTO push_inbox (site_id, received_at, rows, refused_at) VALUES (NULL, $1, '[]', $2)",
        came,
        came if aside else None,
    )
    result = await result_of(push.check_inbox, database_url=migrated_url)
    await execute(migrated_url, "DELETE FROM push_inbox")
    assert result.status is status


async def test_push_checks_are_not_applicable_without_tables(empty_url: str) -> None:
    for check in (push.check_public_url, push.check_ingest, push.check_inbox):
        assert await checkup.run_check(check, Settings(database_url=empty_url)) is None


async def test_the_clock_is_read_and_an_implausible_year_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = await result_of(machine.check_clock)
    assert result.status is not CheckStatus.FAIL
    assert "synchronised" in result.text
    monkeypatch.setattr(machine, "PLAUSIBLE_YEARS", range(1970, 1971))
    assert (await result_of(machine.check_clock)).status is CheckStatus.FAIL


async def test_the_free_disk_space_is_compared_with_what_readings_need(tmp_path: Path) -> None:
    enough = await result_of(machine.check_disk, database_url=None, data_dir=tmp_path / "var", raw_retention_days=8)
    assert "8 days of 1,038 sites' readings take about 0.1 GB" in enough.text
    short = await result_of(machine.check_disk, database_url=None, data_dir=tmp_path, raw_retention_days=10**8)
    assert (short.status, "SINYAL_RAW_RETENTION_DAYS" in str(short)) == (CheckStatus.WARN, True)


async def test_a_data_folder_must_be_ours_or_empty(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    assert (await result_of(machine.check_data_folder, data_dir=folder)).status is CheckStatus.OK
    data_dir.claim(folder, data_dir.SERVICE)
    ours = await result_of(machine.check_data_folder, data_dir=folder)
    assert (ours.status, "`sinyal up`" in ours.text) == (CheckStatus.OK, True)
    folder.chmod(0o755)
    assert "chmod 700" in str(await result_of(machine.check_data_folder, data_dir=folder))
    (tmp_path / "thesis.doc").touch()
    foreign = await result_of(machine.check_data_folder, data_dir=tmp_path)
    assert (foreign.status, "holds files of something else" in foreign.text) == (CheckStatus.FAIL, True)


async def test_a_data_folder_of_another_user_is_reported(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
        result = await result_of(machine.check_data_folder, data_dir=tmp_path)
        assert (result.status, "whose rights may be fewer" in result.text) == (CheckStatus.WARN, True)
    else:
        os.chmod(tmp_path, 0o500)
        result = await result_of(machine.check_data_folder, data_dir=tmp_path)
        below = await result_of(machine.check_data_folder, data_dir=tmp_path / "var")
        os.chmod(tmp_path, 0o700)
        assert (result.status, below.status) == (CheckStatus.FAIL, CheckStatus.FAIL)


async def test_a_small_receive_buffer_is_reported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    if (result := await result_of(network.check_receive_buffer)).status is CheckStatus.OK:
        assert result.remedy is None
    monkeypatch.setattr(network, "ENOUGH_BUFFER", 1 << 40)
    result = await result_of(network.check_receive_buffer)
    assert (result.status, "rmem_max" in str(result)) == (CheckStatus.WARN, True)


async def test_no_canaries_is_a_warning_except_in_a_demo(tmp_path: Path) -> None:
    result = await result_of(network.check_canaries, canaries=[], data_dir=tmp_path)
    assert (result.status, "at least two" in str(result)) == (CheckStatus.WARN, True)
    data_dir.claim(tmp_path, data_dir.DEMO)
    assert (await result_of(network.check_canaries, canaries=[], data_dir=tmp_path)).status is CheckStatus.OK


@needs_icmp
@pytest.mark.parametrize(
    ("canaries", "status"),
    [
        (["127.0.0.1", "127.0.0.2"], CheckStatus.OK),
        (["127.0.0.1"], CheckStatus.WARN),
        (["127.0.0.1", "10.0.0.1"], CheckStatus.WARN),
        (["10.0.0.1", "10.0.0.2"], CheckStatus.FAIL),
    ],
)
async def test_each_canary_is_pinged(canaries: list[str], status: CheckStatus, tmp_path: Path) -> None:
    """Probes to 10/8 are forbidden: no answer, and nothing is sent there."""
    result = await result_of(network.check_canaries, canaries=canaries, probe=SEES_LOOPBACK, data_dir=tmp_path)
    assert result.status is status
    assert ("10.0.0.1 (" in result.text) == ("10.0.0.1" in canaries)


async def test_few_open_files_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "allowed" in (await result_of(machine.check_open_files)).text
    monkeypatch.setattr(machine, "ENOUGH_FILES", 1 << 62)
    assert "LimitNOFILE" in str(await result_of(machine.check_open_files))


async def test_a_missing_heartbeat_is_a_warning_and_its_url_stays_secret() -> None:
    assert (await result_of(network.check_heartbeat, heartbeat_url=None)).status is CheckStatus.WARN
    result = await result_of(network.check_heartbeat, heartbeat_url=f"https://watch.example/{SECRET}")
    assert (result.status, SECRET in str(result)) == (CheckStatus.OK, False)


async def test_a_port_is_free_or_used_by_another_program(tmp_path: Path) -> None:
    assert (await result_of(network.check_port, port=free_port(), data_dir=tmp_path)).status is CheckStatus.OK

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def answer_as_nginx(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    for serve, described in ((hang_up, "does not speak HTTP"), (answer_as_nginx, "HTTP 404, Server: 'nginx'")):
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as stranger:
            taken = stranger.sockets[0].getsockname()[1]
            result = await result_of(network.check_port, port=taken, data_dir=tmp_path)
        assert (result.status, "SINYAL_PORT" in str(result)) == (CheckStatus.FAIL, True)
        assert described in result.text


@pytest.fixture
async def api(migrated_url: str) -> AsyncIterator[int]:
    """The port of a running `sinyal api`."""
    port = free_port()
    env = {"SINYAL_DATABASE_URL": migrated_url, "SINYAL_PORT": str(port), "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "api", env=env, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 300
        while await network.ask_readiness("127.0.0.1", port) is None:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def test_our_api_on_the_configured_port_is_recognised(api: int, tmp_path: Path) -> None:
    result = await result_of(network.check_port, port=api, data_dir=tmp_path)
    assert result.status is not CheckStatus.FAIL
    assert f"a Sinyal Desa API listens on 127.0.0.1:{api}" in result.text
    with instance.recorded(Settings(data_dir=tmp_path, port=api)):
        result = await result_of(network.check_port, port=api, data_dir=tmp_path)
    assert f"the service of this data folder listens on 127.0.0.1:{api}" in result.text


async def test_the_running_service_is_reported_where_it_listens_though_another_port_is_configured(
    api: int, tmp_path: Path
) -> None:
    """As after `sinyal up --port`: nothing listens on the configured one."""
    with instance.recorded(Settings(data_dir=tmp_path, port=api)):
        result = await result_of(network.check_port, port=1, data_dir=tmp_path)
    assert result.status is not CheckStatus.FAIL
    assert f"the service of this data folder listens on 127.0.0.1:{api}" in result.text
    assert "not on the configured 127.0.0.1:1" in result.text


async def test_a_service_that_does_not_listen_yet_is_a_warning(tmp_path: Path) -> None:
    with instance.recorded(Settings(data_dir=tmp_path, port=free_port())):
        result = await result_of(network.check_port, data_dir=tmp_path)
    assert (result.status, "does not answer yet" in result.text) == (CheckStatus.WARN, True)


def raises(_: Settings) -> CheckResult:
    raise ValueError(f"postgresql://sinyal:{SECRET}@db")


def sleeps(_: Settings) -> CheckResult:
    time.sleep(2)
    return CheckResult(CheckStatus.OK, "too late")


async def waits(_: Settings) -> CheckResult:
    await asyncio.sleep(60)
    return CheckResult(CheckStatus.OK, "too late")


async def test_a_check_that_raises_is_reported_by_the_errors_type_alone() -> None:
    assert await checkup.run_check(raises, Settings()) == CheckResult(CheckStatus.FAIL, "raises: ValueError")


@pytest.mark.parametrize("check", [sleeps, waits])
async def test_a_check_that_hangs_times_out(check: Callable[[Settings], CheckResult | Awaitable[CheckResult]]) -> None:
    result = await checkup.run_check(check, Settings(), timeout_s=0.1)
    assert result == CheckResult(CheckStatus.FAIL, f"{check.__name__}: no answer within 0.1 s")


@pytest.mark.parametrize(("status", "code"), [(CheckStatus.OK, 0), (CheckStatus.WARN, 0), (CheckStatus.FAIL, 1)])
async def test_only_a_failed_check_ends_with_1(status: CheckStatus, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(checkup, "CHECKS", (lambda _: CheckResult(status, "example", "Fix it"),))
    assert await checkup.run(Settings(), say=lines.append) == code
    assert lines[0] == f"{status:<4}  example. Fix it"


def run_doctor(folder: Path, *, prefix: list[str] | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(prefix or []), sys.executable, "-m", "app.cli", "doctor"],
        env={"PATH": os.environ["PATH"], "SINYAL_DATA_DIR": str(folder / "var")} | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,  # without limits of its own it would wait without end
        check=False,
    )


def test_the_command_prints_a_line_a_check_and_no_secret(port: int, tmp_path: Path) -> None:
    """Against a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://sinyal:{SECRET}@127.0.0.1:{mute.getsockname()[1]}/sinyal"
        ended = run_doctor(tmp_path, SINYAL_DATABASE_URL=url, SINYAL_HEARTBEAT_URL=f"https://w.example/{SECRET}")
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert [line for line in lines[:-1] if line[:6] not in {"ok    ", "warn  ", "FAIL  "}] == []
    assert [line for line in lines if "FAIL  database: not reachable" in line]
    assert SECRET not in ended.stdout
