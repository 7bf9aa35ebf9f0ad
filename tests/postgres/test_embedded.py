"""The embedded PostgreSQL, for real: every test starts one."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.postgres import binaries, datafiles
from app.postgres.embedded import Cluster, EmbeddedError, ForeignData, NotPermitted, StartFailed, find_url

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parent.parent
START = """
import sys
from pathlib import Path
from app.postgres.embedded import Cluster
c = Cluster(Path(sys.argv[1]))
c.start()
"""


class RefusedError(Exception):
    pass


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "var")
    yield cluster
    cluster.stop()


def ask(url: str, sql: str, **instead: str | None) -> str:
    """What psql prints for `sql`; raises RefusedError."""
    parsed = make_url(url)
    env = {
        "PGHOST": str(parsed.query["host"]),
        "PGUSER": instead.get("user") or parsed.username or "",
        "PGPASSWORD": instead.get("password") or parsed.password or "",
        "PGDATABASE": parsed.database or "",
    }
    done = binaries.run([binaries.program("psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", sql], env=env)
    if done.returncode != 0:
        raise RefusedError(done.stderr.decode())
    return done.stdout.decode().strip()


def elsewhere(data_dir: Path, code: str) -> subprocess.Popen[str]:
    """Another process that starts the cluster, then runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", START + code, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def wait_until(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_it_makes_starts_keeps_and_stops(cluster: Cluster, tmp_path: Path) -> None:
    assert not cluster.exists()
    assert not cluster.alive()
    assert find_url(tmp_path / "var") is None
    assert not (tmp_path / "var").exists(), "looking makes nothing"
    cluster.start()
    assert cluster.exists()
    assert cluster.alive()
    assert find_url(tmp_path / "var") == cluster.url
    ask(cluster.url, "CREATE TABLE kept AS SELECT 7 AS n")
    assert cluster.stop()
    assert not cluster.alive()
    assert cluster.pid is None
    assert find_url(tmp_path / "var") is None
    cluster.start()
    assert ask(cluster.url, "SELECT n FROM kept") == "7"


def test_starting_twice_changes_nothing(cluster: Cluster) -> None:
    cluster.start()
    first = cluster.pid
    cluster.start()
    assert cluster.pid == first


def test_it_is_durable_checked_and_in_utc(cluster: Cluster) -> None:
    cluster.start()
    for name, value in {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "jit": "off",
        "is_superuser": "off",
    }.items():
        assert ask(cluster.url, f"SHOW {name}") == value
    ask(cluster.url, "CREATE EXTENSION btree_gist")


def test_folders_and_password_are_for_its_owner_alone(cluster: Cluster) -> None:
    old = os.umask(0)
    try:
        cluster.start()
    finally:
        os.umask(old)
    home = cluster.home
    for folder in (home.parent, home, home / "data", home / "run", home / "log"):
        assert mode(folder) == 0o700, folder
    for file in (home / "password", home / "data" / "pg_hba.conf", home / "data" / "sinyal.conf"):
        assert mode(file) == 0o600, file
    assert (home / "data" / "pg_hba.conf").read_text() == "local all all scram-sha-256\n"


def test_only_the_right_password_opens(cluster: Cluster) -> None:
    cluster.start()
    refused = "password authentication failed"
    with pytest.raises(RefusedError, match=refused):
        ask(cluster.url, "SELECT 1", password="guess")
    with pytest.raises(RefusedError, match=refused):
        ask(cluster.url, "SELECT 1", user="postgres")


def test_the_password_is_told_to_nobody(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    cluster.start()
    with pytest.raises(RefusedError, match="does not exist"):
        ask(cluster.url, "ALTER ROLE nobody_here PASSWORD 'hunter2'")
    password = (cluster.home / "password").read_text()
    said = b"".join(file.read_bytes() for file in (cluster.home / "log").iterdir()).decode() + caplog.text
    assert "starting PostgreSQL" in said
    assert password not in said
    assert "hunter2" not in said
    assert password not in Path(f"/proc/{cluster.pid}/cmdline").read_text()


def test_nothing_listens_on_tcp(cluster: Cluster) -> None:
    cluster.start()
    assert ask(cluster.url, "SHOW listen_addresses") == ""
    links = [os.readlink(link) for link in Path(f"/proc/{cluster.pid}/fd").iterdir()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    assert inodes, "its Unix socket"
    for table in filter(Path.exists, (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))):
        assert inodes.isdisjoint(line.split()[9] for line in table.read_text().splitlines()[1:])


def test_ctrl_c_in_the_terminal_does_not_reach_it(cluster: Cluster) -> None:
    cluster.start()
    assert cluster.pid is not None
    assert os.getsid(cluster.pid) != os.getsid(0)


def test_what_was_committed_survives_a_kill(cluster: Cluster) -> None:
    cluster.start()
    ask(cluster.url, "CREATE TABLE kept AS SELECT 7 AS n")
    first = cluster.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not cluster.alive())
    cluster.start()
    assert cluster.pid != first
    assert ask(cluster.url, "SELECT n FROM kept") == "7"


def test_an_orphan_is_adopted_and_can_be_stopped(cluster: Cluster) -> None:
    parent = elsewhere(cluster.home.parent, "print(c.pid, flush=True); import os; os.kill(os.getpid(), 9)")
    pid = int(parent.communicate()[0])
    assert parent.returncode == -signal.SIGKILL
    assert cluster.alive()
    cluster.start()
    assert cluster.pid == pid
    assert ask(cluster.url, "SELECT 1") == "1"
    assert cluster.stop()
    assert not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_of_many_that_start_at_once_one_wins_and_the_last_to_leave_stops(cluster: Cluster) -> None:
    code = "print(c.pid, flush=True); sys.stdin.read(); print(c.stop(), flush=True)"
    others = [elsewhere(cluster.home.parent, code) for _ in range(3)]
    pids = {int(other.stdout.readline()) for other in others if other.stdout}
    assert pids == {cluster.pid}
    left = [other.communicate("")[0].strip() for other in others]
    assert left == ["False", "False", "True"]
    assert not cluster.alive()


def test_a_user_killed_hard_does_not_keep_it_from_stopping(cluster: Cluster) -> None:
    other = elsewhere(cluster.home.parent, "print(c.pid, flush=True); sys.stdin.read()")
    assert other.stdout
    other.stdout.readline()
    cluster.start()
    other.kill()
    other.communicate()
    assert cluster.stop()


def test_a_start_that_fails_leaves_no_user_behind(cluster: Cluster) -> None:
    with pytest.raises(StartFailed, match="start again"):
        cluster.start(timeout=0)
    other = Cluster(cluster.home.parent)
    other.start()
    assert other.stop()


def test_another_major_version_is_refused_with_the_way_out(cluster: Cluster) -> None:
    cluster.start()
    cluster.stop()
    (cluster.home / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ForeignData, match=r"PostgreSQL 15, .* includes 18.*sinyal backup.*sinyal restore"):
        cluster.start()


def test_a_folder_with_something_else_in_it_is_refused(cluster: Cluster) -> None:
    (cluster.home / "data").mkdir(parents=True)
    (cluster.home / "data" / "holiday.jpg").touch()
    with pytest.raises(ForeignData, match="holds no PostgreSQL data"):
        cluster.start()
    assert (cluster.home / "data" / "holiday.jpg").exists()


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="file/var: Not a directory"):
        Cluster(tmp_path / "file" / "var").start()


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = Cluster(tmp_path / ("d" * 60) / ("e" * 60))
    try:
        deep.start()
        assert ask(deep.url, "SELECT 1") == "1"
        folder = Path(str(make_url(deep.url).query["host"]))
        assert not folder.is_relative_to(tmp_path)
        assert mode(folder) == 0o700
        assert find_url(deep.home.parent) == deep.url
    finally:
        deep.stop()
        shutil.rmtree(datafiles.socket_dir(deep.home))


def test_a_path_too_strange_for_a_url_works_too(tmp_path: Path) -> None:
    strange = Cluster(tmp_path / "it's, 100%: é")
    try:
        strange.start()
        assert ask(strange.url, "SELECT 1") == "1"
        assert list((strange.home / "log").glob("postgresql-*.log"))
    finally:
        strange.stop()
        shutil.rmtree(datafiles.socket_dir(strange.home))


def test_somebody_elses_socket_folder_is_refused(tmp_path: Path) -> None:
    deep = Cluster(tmp_path / ("d" * 120))
    folder = datafiles.socket_dir(deep.home)
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(NotPermitted, match="is not a folder of user"):
            deep.start()
    finally:
        folder.unlink()


def test_an_initdb_killed_in_the_middle_does_no_harm(cluster: Cluster) -> None:
    starter = elsewhere(cluster.home.parent, "")
    wait_until(lambda: list(cluster.home.glob("init-*/base")))
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    assert list(cluster.home.glob("init-*"))
    assert not cluster.exists()
    cluster.start()
    assert ask(cluster.url, "SELECT 1") == "1"
    assert not list(cluster.home.glob("init-*"))


def test_an_orphaned_initdb_is_waited_for(cluster: Cluster) -> None:
    starter = elsewhere(cluster.home.parent, "")
    wait_until(lambda: list(cluster.home.glob("init-*/base")))
    starter.kill()
    starter.communicate()
    cluster.start()
    assert ask(cluster.url, "SELECT 1") == "1"
    assert not list(cluster.home.glob("init-*"))


def test_after_a_power_loss_a_recycled_process_number_is_no_obstacle(cluster: Cluster) -> None:
    cluster.start()
    assert cluster.pid is not None
    recorded = cluster.home / "data" / "postmaster.pid"
    lines = recorded.read_text().splitlines()
    os.kill(cluster.pid, signal.SIGKILL)
    wait_until(lambda: not cluster.alive())
    with subprocess.Popen(["sleep", "60"]) as somebody:
        recorded.write_text("\n".join([str(somebody.pid), *lines[1:]]))
        (cluster.home / "run" / ".s.PGSQL.5432.lock").write_text(f"{somebody.pid}\n")
        try:
            cluster.start()
            assert ask(cluster.url, "SELECT 1") == "1"
        finally:
            somebody.kill()


def test_a_server_that_gives_up_is_quoted(cluster: Cluster) -> None:
    cluster.start()
    cluster.stop()
    (cluster.home / "data" / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(StartFailed, match=r"did not start: .*FATAL"):
        cluster.start()


def test_a_lost_password_is_named(cluster: Cluster) -> None:
    cluster.start()
    (cluster.home / "password").rename(cluster.home / "aside")
    with pytest.raises(EmbeddedError, match="password is missing"):
        _ = cluster.url
