"""Checks of the machine: clock, data folder, disk, open files."""

import contextlib
import ctypes
import os
import pwd
import resource
import shutil
import stat
import time
from datetime import datetime

import asyncpg

from app.cli.doctor.database import database
from app.cli.doctor.finding import Away, Finding, Level, in_thread, nearest
from app.core.clock import utc_now
from app.runtime import data_dir
from app.settings import Settings

VILLAGES, RAW_ROW_BYTES, LEAST_FREE_BYTES = 1038, 90, 500_000_000
GOOD_FILES = 4096
YEARS = range(2026, 2100)
STA_UNSYNC = 0x40


class Timex(ctypes.Structure):
    """The head of Linux's struct timex; the kernel writes all of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


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
    purpose, about = data_dir.purpose_of(folder), folder.stat()
    if not purpose and data_dir.holds_something(folder):
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
    return "sinyal demo" if purpose == data_dir.DEMO else "sinyal up"


def account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


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


def check_open_files(settings: Settings) -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= GOOD_FILES:
        return Finding(Level.OK, f"open files: {'unlimited' if limit < 0 else f'{limit:,}'} allowed")
    mend = "Each dashboard and each tcp or http look takes one: ulimit -n 65536, or LimitNOFILE=65536 in systemd"
    return Finding(Level.WARN, f"open files: only {limit:,} allowed", mend)
