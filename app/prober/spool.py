"""What was read and is not delivered yet, in an SQLite file, and what a prober needs to start without its server.

One thread writes. A block is on the disk before it is delivered, and stays there for a while after that: a database
that failed over may have lost what it acknowledged.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from app.prober.spooled_block import COLUMNS, SpooledBlock, SpoolState

FILE, RESERVE_FILE = "spool.sqlite3", "spool.reserve"
RESERVE_BYTES = 4 * 2**20
KEEP_S = 7 * 86_400  # undelivered: older readings the server does not take
MOST_BYTES = 2 * 2**30  # of undelivered blocks
CHECKED_BYTES = 64 * 2**20  # a larger file is not checked whole at the start: damage shows when it is read

SCHEMA = """
    CREATE TABLE IF NOT EXISTS block (
        id INTEGER PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, readings INTEGER NOT NULL,
        oldest INTEGER NOT NULL, newest INTEGER NOT NULL, is_unsure INTEGER NOT NULL, shift_s INTEGER NOT NULL,
        bytes INTEGER NOT NULL, held_until REAL NOT NULL DEFAULT 0, acked_at REAL, body BLOB NOT NULL,
        UNIQUE (boot, seq)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS ix_block_waiting ON block (id, readings, oldest, newest, bytes) WHERE acked_at IS NULL;
    CREATE INDEX IF NOT EXISTS ix_block_acked ON block (acked_at) WHERE acked_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS site (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""
STATE = """
    SELECT count(*), coalesce(sum(readings), 0), min(oldest), coalesce(sum(bytes), 0) FROM block WHERE acked_at IS NULL
"""
GROW = """
    ON CONFLICT (boot, seq) DO UPDATE SET readings = excluded.readings, oldest = excluded.oldest,
        newest = excluded.newest, bytes = excluded.bytes, body = excluded.body
"""
Settled = dict[tuple[str, int], float | None]  # by boot and seq: when it was acknowledged; None: refused


class Spool:
    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._reserve = path.with_name(RESERVE_FILE)
        self.keep_reserve()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises sqlite3.Error: see `is_damage`."""
        connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 200")
            connection.execute("PRAGMA journal_size_limit = 1000000")
            connection.executescript(SCHEMA)
            if path.stat().st_size <= CHECKED_BYTES:
                ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {verdict}")
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def append(self, blocks: Iterable[SpooledBlock]) -> int:
        """Return how many, once they are on the disk. One that is there already is replaced: it has grown."""
        rows = [(b.boot, b.seq, b.readings, b.oldest, b.newest, b.is_unsure, b.shift_s, b.body) for b in blocks]
        with self._transaction() as connection:
            connection.executemany(
                f"INSERT INTO block ({COLUMNS}, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?8, length(?8)) {GROW}", rows
            )
        return len(rows)

    def waiting(
        self, now: float, blocks: int, readings: int, *, passed: Set[tuple[str, int]] = frozenset()
    ) -> list[SpooledBlock]:
        """Return the oldest of what waits, of one boot, at least one, not more than these, and none of `passed`."""
        waiting = "FROM block WHERE acked_at IS NULL AND held_until <= ? ORDER BY id"
        if passed:
            found = self._connection.execute(f"SELECT id, boot, seq {waiting}", (now,))
            ids = islice((key for key, *identity in found if tuple(identity) not in passed), blocks)
            question = f"SELECT {COLUMNS} FROM block WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
            rows = self._connection.execute(question, (str(list(ids)),))
        else:
            rows = self._connection.execute(f"SELECT {COLUMNS} {waiting} LIMIT ?", (now, blocks))
        batch: list[SpooledBlock] = []
        for boot, seq, count, oldest, newest, is_unsure, shift_s, body in rows.fetchall():
            if batch and (boot != batch[0].boot or (readings := readings - batch[-1].readings) < count):
                break
            batch.append(SpooledBlock(boot, seq, count, oldest, newest, bool(is_unsure), shift_s, body))
        return batch

    def settle(self, settled: Settled) -> int:
        acked = [(at, *block) for block, at in settled.items() if at is not None]
        refused = [block for block, at in settled.items() if at is None]
        with self._transaction() as connection:
            connection.executemany("UPDATE block SET acked_at = ? WHERE boot = ? AND seq = ?", acked)
            connection.executemany("DELETE FROM block WHERE boot = ? AND seq = ?", refused)
        return len(settled)

    def hold(self, boot: str, seq: int, until: float) -> None:
        """Let others go first: the server took offence at a body with this block alone."""
        with self._transaction() as connection:
            connection.execute("UPDATE block SET held_until = ? WHERE boot = ? AND seq = ?", (until, boot, seq))

    def send_again(self, since: float) -> int:
        """Return how many blocks that were acknowledged since then are delivered once more."""
        with self._transaction() as connection:
            return connection.execute("UPDATE block SET acked_at = NULL WHERE acked_at >= ?", (since,)).rowcount

    def place(self, boot: str, shift_s: int) -> int:
        """Move what this boot read by an unverified clock. Return how many blocks that were."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE block SET shift_s = ?, is_unsure = 0 WHERE boot = ? AND is_unsure", (shift_s, boot)
            ).rowcount

    def prune(self, now: float, *, acked_s: float, most_bytes: int = MOST_BYTES) -> int:
        """Delete what is kept no longer; return how many readings of it were never delivered."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM block WHERE acked_at < ? OR acked_at > ?", (now - acked_s, now + 86_400))
            lost = _sum_of(
                connection.execute(
                    "DELETE FROM block WHERE acked_at IS NULL AND newest < ? RETURNING readings", (now - KEEP_S,)
                )
            )
            if (excess := self.state().bytes - most_bytes) > 0:
                lost += _sum_of(connection.execute(_OLDEST_BYTES, (excess,)))
        self._connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        self.keep_reserve()
        return lost

    def drop_acknowledged(self) -> int:
        """Return how many blocks that were."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM block WHERE acked_at IS NOT NULL").rowcount

    @contextmanager
    def reserve_released(self) -> Iterator[None]:
        """On a full disk have room for changes that make the spool smaller: what is deleted is written first."""
        self._reserve.unlink(missing_ok=True)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        try:
            yield
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self._take_reserve()

    def keep_reserve(self) -> None:
        if not self._reserve.exists() and shutil.disk_usage(self._reserve.parent).free > 2 * RESERVE_BYTES:
            self._take_reserve()

    def _take_reserve(self) -> None:
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    def drop_oldest(self, share: float = 0.1) -> int:
        """Make room at the cost of what waits longest; return its readings."""
        with self._transaction() as connection:
            excess = max(1, int(self.state().bytes * share))
            return _sum_of(connection.execute(_OLDEST_BYTES, (excess,)))

    def state(self) -> SpoolState:
        return SpoolState(*self._connection.execute(STATE).fetchone())

    def newest_slot(self) -> int:
        """Return the last second that something was read in; 0 if nothing is here."""
        return int(self._connection.execute("SELECT coalesce(max(newest), 0) FROM block").fetchone()[0])

    def put_sites(self, sites: Iterable[tuple[int, bytes]], removed: Iterable[int], *, full: bool) -> None:
        with self._transaction() as connection:
            if full:
                connection.execute("DELETE FROM site")
            connection.executemany("DELETE FROM site WHERE id = ?", [(key,) for key in removed])
            connection.executemany("INSERT OR REPLACE INTO site (id, body) VALUES (?, ?)", sites)

    def sites(self) -> list[bytes]:
        return [body for (body,) in self._connection.execute("SELECT body FROM site ORDER BY id")]

    def put_note(self, name: str, value: bytes) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", (name, value))

    def note(self, name: str) -> bytes | None:
        row = self._connection.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None


_OLDEST_BYTES = """
    DELETE FROM block WHERE id IN (
        SELECT id FROM (SELECT id, bytes, sum(bytes) OVER (ORDER BY id) AS upto FROM block WHERE acked_at IS NULL)
        WHERE upto - bytes < ?
    ) RETURNING readings
"""


def _sum_of(cursor: sqlite3.Cursor) -> int:
    return sum(readings for (readings,) in cursor.fetchall())
