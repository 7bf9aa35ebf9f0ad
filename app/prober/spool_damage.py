"""What is done with a spool that cannot be read: it is set aside, and what is left of it delivered."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from app.prober.spool import Spool
from app.prober.spooled_block import COLUMNS, SpooledBlock


def is_damage(error: Exception) -> bool:
    """Whether this file will not be read again; anything else may pass: a full or missing disk, a lock."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


def is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def set_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged spool, for a person to look at; return its new name."""
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(damaged: Path, into: Spool) -> int:
    """Copy what can be read of a damaged spool and was not delivered; return how many blocks that are."""
    ids = dict[int, None]()  # up to the damage from either side
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(damaged)) as connection:
            question = f"SELECT id FROM block NOT INDEXED WHERE acked_at IS NULL ORDER BY id {order}"
            for (key,) in connection.execute(question):
                if key in ids:
                    break
                ids[key] = None
    saved, batch = 0, list[SpooledBlock]()
    with closing(sqlite3.connect(damaged)) as connection:
        for key in sorted(ids):
            with suppress(sqlite3.Error, TypeError):
                row = connection.execute(f"SELECT {COLUMNS} FROM block WHERE id = ?", (key,)).fetchone()
                batch.append(SpooledBlock(*row))
            if len(batch) >= 100:
                into.append(batch)
                saved, batch = saved + len(batch), []
    into.append(batch)
    return saved + len(batch)
