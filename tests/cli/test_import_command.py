"""`sinyal import sites`, as a process of its own."""

import getpass
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access.models import Audit
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from tests.conftest import drop_database, make_database
from tests.importing.test_import import HEADER, MUARA


@pytest.fixture
async def database(server_url: str) -> AsyncIterator[tuple[str, AsyncEngine]]:
    url = await make_database(server_url)
    engine = open_engine(url, name="test")
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
    yield url, engine
    await engine.dispose()
    await drop_database(url, server_url)


def sinyal(url: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "import", "sites", *map(str, arguments)],
        env={**os.environ, "SINYAL_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_file_is_told_about_then_written_and_wrong_rows_end_it_with_1(
    database: tuple[str, AsyncEngine], tmp_path: Path
) -> None:
    url, engine = database
    file, report = tmp_path / "kukar.csv", tmp_path / "hasil.xlsx"
    file.write_text(f"{HEADER}\n{MUARA}\n64.02.05.2004;satelit;Telkom WMS;icmp;198.51.100.21\n")
    for options in (("--dry-run", "--report", report), ()):
        told = sinyal(url, file, *options)
        assert (told.returncode, told.stderr) == (1, "")
        assert "tidak ada yang ditulis" in told.stdout
        assert "     3  kolom B (Teknologi)" in told.stdout
    assert openpyxl.load_workbook(report).worksheets[0]["F3"].value == "salah"
    partly = sinyal(url, file, "--partial", "--lang", "en")
    assert (partly.returncode, partly.stdout.splitlines()[-1]) == (1, "create 1  update 0  same 0  error 1: written")
    file.write_text(f"{HEADER}\n{MUARA}\n")
    again = sinyal(url, file)
    assert (again.returncode, again.stdout) == (0, "baru 0  diperbarui 0  tetap 1  salah 0: tertulis\n")
    file.write_text(f"{HEADER};Telepon kontak\n{MUARA.replace('100.20', '100.22').replace('serat', 'SERAT')};0812\n")
    changed = sinyal(url, file, "--dry-run").stdout
    assert "198.51.100.20 → 198.51.100.22" in changed
    assert ("Telepon kontak" in changed, "0812" in changed) == (True, False)
    async with transaction(open_sessions(engine)) as session:
        entries = list(await session.scalars(select(Audit).order_by(Audit.id)))
    who = f"command line ({getpass.getuser()})"
    assert [(one.actor, one.source, one.action) for one in entries] == [
        (who, "import", "create"),
        (who, "import", "import"),
    ]


async def test_what_is_no_table_is_one_line(database: tuple[str, AsyncEngine], tmp_path: Path) -> None:
    url, _ = database
    file = tmp_path / "surat.pdf"
    file.write_bytes(b"%PDF-1.7")
    for arguments, said in (
        ((file,), "surat.pdf: Berkas ini bukan"),
        ((tmp_path / "none.csv",), "none.csv: No such file"),
        ((file, "--lang", "fr"), "--lang is id or en"),
    ):
        told = sinyal(url, *arguments)
        assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (2, "", 1)
        assert said in told.stderr
