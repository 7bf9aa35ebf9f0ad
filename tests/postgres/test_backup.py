"""Backup and restore against real servers: the embedded one, and another release's over TCP."""

import os
import secrets
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.postgres import backup as module
from app.postgres import binaries
from app.postgres.backup import BackupError, backup, restore
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine
from app.runtime.migrate import migrate
from tests.support.demo_process import free_port

SCHEMA = r"""
CREATE EXTENSION btree_gist;
CREATE TABLE site (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE NOT NULL);
CREATE TABLE segment (
    site_id bigint REFERENCES site, during tstzrange, EXCLUDE USING gist (site_id WITH =, during WITH &&)
);
CREATE TABLE measurement (site_id bigint, slot date, rtt_us int[], PRIMARY KEY (site_id, slot))
    PARTITION BY RANGE (slot);
CREATE TABLE measurement_1 PARTITION OF measurement FOR VALUES FROM ('2026-11-24') TO ('2026-11-25');
CREATE TABLE note (line text);
INSERT INTO note VALUES ('SET transaction_timeout = 0;'),
    ('ALTER TABLE ONLY public.site ALTER COLUMN id SET (pg_attver=1);'), ('\.'), ('COPY note FROM stdin;');
INSERT INTO site (code) SELECT 'desa ' || n FROM generate_series(1, 1038) n;
INSERT INTO segment SELECT id, '[2026-11-24, 2026-11-25)' FROM site;
INSERT INTO measurement SELECT id, '2026-11-24', '{21300, 22000}' FROM site;
"""
LATER = """
CREATE TABLE measurement_2 PARTITION OF measurement FOR VALUES FROM ('2026-11-25') TO ('2026-11-26');
INSERT INTO measurement SELECT id, '2026-11-25', '{1}' FROM site;
UPDATE site SET code = 'changed ' || id;
DELETE FROM segment;
"""
FINGERPRINT = """
SELECT (SELECT count(*) FROM site WHERE code LIKE 'desa %'), (SELECT count(*) FROM segment),
    (SELECT count(*) || ' ' || max(rtt_us)::text FROM measurement),
    (SELECT count(*) FROM pg_inherits WHERE inhparent = 'measurement'::regclass),
    (SELECT count(*) FROM note)
"""
WHOLE = "1038|1038|1038 {21300,22000}|1|4"


def sql(url: str, text: str) -> str:
    done = binaries.run(
        [binaries.program("psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", text],
        env=module.connection_environment(url),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cluster = Cluster(tmp_path_factory.mktemp("embedded"))
    cluster.start()
    yield cluster.url
    cluster.stop()


NewDatabase = Callable[[str], str]


@pytest.fixture
def new_database() -> Iterator[NewDatabase]:
    made: list[tuple[str, str]] = []

    def new(url: str) -> str:
        name = f"test_{secrets.token_hex(4)}"
        sql(url, f"CREATE DATABASE {name}")
        made.append((url, name))
        return make_url(url).set(database=name).render_as_string(hide_password=False)

    yield new
    for url, name in made:
        sql(url, f"DROP DATABASE {name}")


@pytest.fixture
def filled(embedded: str, new_database: NewDatabase) -> str:
    url = new_database(embedded)
    sql(url, SCHEMA)
    return url


@pytest.fixture
def kept(filled: str, tmp_path: Path) -> Path:
    file = tmp_path / "kept.dump"
    backup(filled, file)
    return file


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The system's PostgreSQL, as in a larger installation: another release, TCP, a superuser."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and "CI" not in os.environ:
        pytest.skip("no PostgreSQL of the system's is installed")
    initdb, home = found[-1], tmp_path_factory.mktemp("foreign")
    who, data = binaries.identity(home), str(home / "data")
    (home / "password").write_text("a pass/word@")
    made = binaries.run(
        [str(initdb), "-D", data, "-U", "owner", "-A", "scram-sha-256", f"--pwfile={home / 'password'}"],
        who=who,
    )
    assert made.returncode == 0, made.stderr
    port = free_port()
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k '' -c fsync=off"
    control = [*who.prefix, str(initdb.with_name("pg_ctl")), "-D", data, "-w"]
    subprocess.run([*control, "-l", str(home / "log"), "-o", options, "start"], check=True, stdout=subprocess.DEVNULL)
    yield f"postgresql+asyncpg://owner:a%20pass%2Fword%40@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)


def test_everything_comes_back_over_later_changes(filled: str, kept: Path) -> None:
    sql(filled, LATER)
    assert sql(filled, FINGERPRINT) != WHOLE
    restore(filled, kept)
    assert sql(filled, FINGERPRINT) == WHOLE


def test_an_empty_database_is_filled(kept: Path, embedded: str, new_database: NewDatabase) -> None:
    empty = new_database(embedded)
    restore(empty, kept)
    assert sql(empty, FINGERPRINT) == WHOLE
    sql(empty, "INSERT INTO site (code) VALUES ('the next')")


def test_another_release_over_tcp(foreign: str, kept: Path, new_database: NewDatabase, tmp_path: Path) -> None:
    there = new_database(foreign)
    restore(there, kept)
    assert sql(there, FINGERPRINT) == WHOLE
    backup(there, tmp_path / "foreign.dump")
    sql(there, LATER)
    restore(there, tmp_path / "foreign.dump")
    assert sql(there, FINGERPRINT) == WHOLE


def test_from_another_release_into_ours(
    foreign: str, embedded: str, kept: Path, new_database: NewDatabase, tmp_path: Path
) -> None:
    there, ours = new_database(foreign), new_database(embedded)
    restore(there, kept)
    backup(there, tmp_path / "foreign.dump")
    restore(ours, tmp_path / "foreign.dump")
    assert sql(ours, FINGERPRINT) == WHOLE


AUDIT = """
SELECT (SELECT string_agg(actor, ',') FROM audit),
    (SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgname = 'tr_audit_append_only')
"""


async def test_the_audit_comes_back_as_it_was_and_stays_append_only_to_a_super_user_too(
    embedded: str, foreign: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    ours = new_database(embedded)
    engine = open_engine(ours, name="test")
    await migrate(engine)
    await engine.dispose()
    sql(ours, "INSERT INTO audit (actor, action, object, object_id) VALUES ('sari', 'create', 'site', '1')")
    backup(ours, tmp_path / "audit.dump")
    for there in (ours, new_database(embedded), new_database(foreign)):
        restore(there, tmp_path / "audit.dump")
        for change in ("UPDATE audit SET actor = ''", "DELETE FROM audit", "TRUNCATE audit"):
            for role in ("", "SET session_replication_role = replica;"):
                tried = binaries.run(
                    [binaries.program("psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", f"{role} {change}"],
                    env=module.connection_environment(there),
                )
                assert tried.returncode != 0
                assert b"append-only" in tried.stderr or b"permission denied to set parameter" in tried.stderr
        assert sql(there, AUDIT) == "sari|A"


def test_a_backup_is_private_and_leaves_nothing_beside_it(kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.glob(".*")) == []
    assert [file.name for file in kept.parent.glob("*.dump")] == ["kept.dump"]


def test_an_existing_file_is_overwritten_only_when_told(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.dump"
    file.write_text("precious")
    with pytest.raises(BackupError, match="exists already"):
        backup(filled, file)
    assert file.read_text() == "precious"
    backup(filled, file, overwrite=True)
    assert file.read_bytes().startswith(b"PGDMP")


def test_a_failed_backup_leaves_the_old_one(filled: str, kept: Path) -> None:
    before = kept.read_bytes()
    wrong = make_url(filled).set(password="guess").render_as_string(hide_password=False)
    with pytest.raises(BackupError, match="password authentication failed"):
        backup(wrong, kept, overwrite=True)
    assert kept.read_bytes() == before
    assert list(kept.parent.glob(".*")) == []


def test_a_folder_that_is_not_there_is_named(filled: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="takes no files: No such file"):
        backup(filled, tmp_path / "absent" / "x.dump")


@pytest.mark.parametrize("content", [b"", b"SELECT 1;", b"PGDMP", b"PGDMP\x01\x10\x00 and so on"])
def test_what_is_no_backup_is_refused(filled: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "photo.dump"
    file.write_bytes(content)
    with pytest.raises(BackupError, match=r"is not a backup|is damaged"):
        restore(filled, file)
    with pytest.raises(BackupError, match="cannot be read"):
        restore(filled, tmp_path / "absent.dump")
    assert sql(filled, FINGERPRINT) == WHOLE


def test_a_torn_backup_changes_nothing(filled: str, kept: Path) -> None:
    sql(filled, LATER)
    before = sql(filled, FINGERPRINT)
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) - 200])
    with pytest.raises(BackupError, match="nothing has changed: pg_restore"):
        restore(filled, kept)
    assert sql(filled, FINGERPRINT) == before


def test_the_caller_can_refuse_and_holds_its_lock_meanwhile(filled: str, kept: Path) -> None:
    seen = []

    @contextmanager
    def worker_runs() -> Iterator[None]:
        raise BackupError("a worker is running: stop it first")
        yield

    @contextmanager
    def held() -> Iterator[None]:
        seen.append(sql(filled, FINGERPRINT))
        yield
        seen.append(sql(filled, FINGERPRINT))

    sql(filled, LATER)
    with pytest.raises(BackupError, match="stop it first"):
        restore(filled, kept, exclusive=worker_runs())
    restore(filled, kept, exclusive=held())
    assert seen[0] != WHOLE
    assert seen[1] == WHOLE


def test_the_password_is_on_no_command_line(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "program", lambda name: str(_wrapped(name, tmp_path)))
    backup(filled, tmp_path / "x.dump")
    restore(filled, tmp_path / "x.dump")
    password, said = make_url(filled).password, (tmp_path / "argv").read_text()
    assert said.count("\n") == 4, "pg_dump, pg_restore to look, pg_restore, psql"
    assert password
    assert password not in said


def _wrapped(name: str, folder: Path) -> Path:
    """A program that records its command line first."""
    script = folder / name
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {folder}/argv\nexec {binaries.program(name)} "$@"\n')
    script.chmod(0o700)
    return script
