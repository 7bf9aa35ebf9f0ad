"""Check the machine: clock, data folder, disk, open files."""

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

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable, in_thread, nearest_existing
from app.cli.doctor.database import open_database
from app.core.clock import utc_now
from app.runtime import data_dir
from app.settings import Settings

VILLAGES, READING_BYTES, MIN_FREE_BYTES = 1038, 12, 500_000_000  # of a packed reading
ENOUGH_FILES = 4096
PLAUSIBLE_YEARS = range(2026, 2100)
STA_UNSYNC = 0x40


class Timex(ctypes.Structure):
    """The first fields of Linux's struct timex; `rest` holds the others, which the kernel writes too."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def check_clock(settings: Settings) -> CheckResult:
    now = datetime.fromtimestamp(time.time(), tz=utc_now().tzinfo)
    remedy = "Run a time service: `timedatectl set-ntp true`, or chrony"
    if now.year not in PLAUSIBLE_YEARS:
        return CheckResult(CheckStatus.FAIL, f"clock: set to {now:%Y-%m-%d}", remedy)
    timex = Timex()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return CheckResult(
            CheckStatus.WARN, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC; whether it is synchronised cannot be read here"
        )
    if timex.status & STA_UNSYNC:
        return CheckResult(
            CheckStatus.WARN, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC, not synchronised by a time service", remedy
        )
    return CheckResult(CheckStatus.OK, f"clock: {now:%Y-%m-%d %H:%M:%S} UTC, synchronised")


def check_data_folder(settings: Settings) -> CheckResult:
    folder = settings.data_dir.resolve()
    text = f"data folder: {folder}"
    if not folder.exists():
        if os.access(nearest_existing(folder), os.W_OK | os.X_OK):
            return CheckResult(CheckStatus.OK, f"{text} does not exist yet, and can be created")
        return CheckResult(
            CheckStatus.FAIL, f"{text} cannot be created", "Set SINYAL_DATA_DIR to a folder that this user may write to"
        )
    purpose, about = data_dir.purpose_of(folder), folder.stat()
    if not purpose and data_dir.holds_something(folder):
        return CheckResult(
            CheckStatus.FAIL, f"{text} holds files of something else", "Set SINYAL_DATA_DIR to another folder"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return CheckResult(CheckStatus.FAIL, f"{text} is not writable", "Run as its owner, or set SINYAL_DATA_DIR")
    if mode := stat.S_IMODE(about.st_mode) & 0o077:
        return CheckResult(CheckStatus.WARN, f"{text} is open to other users ({mode:#o})", f"Run chmod 700 {folder}")
    if about.st_uid != os.geteuid():
        owner = account(about.st_uid)
        return CheckResult(
            CheckStatus.WARN, f"{text} belongs to {owner}, whose rights may be fewer", f"Run doctor as {owner}"
        )
    return CheckResult(
        CheckStatus.OK, f"{text}, {f'used by `{command(purpose)}`' if purpose else 'empty'}, closed to others"
    )


def command(purpose: str) -> str:
    return "sinyal demo" if purpose == data_dir.DEMO else "sinyal up"


def account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


async def check_disk(settings: Settings) -> CheckResult:
    sites, used = VILLAGES, 0
    with contextlib.suppress(NotApplicable, asyncpg.UndefinedTableError):
        async with open_database(settings) as connection:
            used = await connection.fetchval("SELECT pg_database_size(current_database())")
            sites = await connection.fetchval("SELECT count(*) FROM site WHERE lifecycle = 'active'") or VILLAGES
    folder = settings.data_dir.resolve()
    free = (await in_thread(lambda: shutil.disk_usage(nearest_existing(folder)))).free
    days = settings.raw_retention_days
    need = sites * 86_400 // (settings.probe.interval_s or 60) * READING_BYTES * days
    where = "" if settings.database_url is None else " on the database's server"
    text = f"disk: {gb(free)} free at {folder}; {days} days of {sites:,} sites' readings take about {gb(need)}{where}"
    if free < MIN_FREE_BYTES:
        return CheckResult(CheckStatus.FAIL, text, "Free some space")
    if settings.database_url is None and free + used < need:
        return CheckResult(CheckStatus.WARN, text, "Free some space, or lower SINYAL_RAW_RETENTION_DAYS")
    return CheckResult(CheckStatus.OK, text)


def gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def check_open_files(settings: Settings) -> CheckResult:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= ENOUGH_FILES:
        return CheckResult(CheckStatus.OK, f"open files: {'unlimited' if limit < 0 else f'{limit:,}'} allowed")
    remedy = "Each dashboard and each tcp or http probe takes one: ulimit -n 65536, or LimitNOFILE=65536 in systemd"
    return CheckResult(CheckStatus.WARN, f"open files: only {limit:,} allowed", remedy)
