"""`sinyal import sites`, in a process of its own."""

import getpass
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access.models import Audit
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime import instance
from app.settings import Settings
from tests.conftest import drop_database, make_database
from tests.support.forked_commands import ForkedCommands
from tests.support.imports import HEADER, MUARA, unreportable_workbook


@pytest.fixture
async def database(server_url: str, migrated_template: str) -> AsyncIterator[tuple[str, AsyncEngine]]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
    yield url, engine
    await engine.dispose()
    await drop_database(url, server_url)


Sinyal = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sinyal(forked_commands: ForkedCommands) -> Sinyal:
    """Return what runs `sinyal import sites` on the database of a URL."""

    def run(url: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "SINYAL_DATABASE_URL": url, **environment}
        return forked_commands.run("import", "sites", *map(str, arguments), environment=variables)

    return run


def started_anew(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    """The same in a Python that has imported nothing yet."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "import", "sites", str(file)],
        env={**os.environ, "SINYAL_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_file_is_checked_then_written_and_invalid_rows_end_with_1(
    database: tuple[str, AsyncEngine], tmp_path: Path, sinyal: Sinyal
) -> None:
    url, engine = database
    file, report = tmp_path / "kukar.csv", tmp_path / "hasil.xlsx"
    file.write_text(f"{HEADER}\n{MUARA}\n64.02.05.2004;satelit;Telkom WMS;icmp;198.51.100.21\n")
    for options in (("--dry-run", "--report", report), ()):
        process = sinyal(url, file, *options)
        assert (process.returncode, process.stderr) == (1, "")
        assert "tidak ada yang ditulis" in process.stdout
        assert "     3  kolom B (Teknologi)" in process.stdout
    assert openpyxl.load_workbook(report).worksheets[0]["F3"].value == "salah"
    partial = sinyal(url, file, "--partial", "--lang", "en")
    assert (partial.returncode, partial.stdout.splitlines()[-1]) == (1, "create 1  update 0  same 0  error 1: written")
    file.write_text(f"{HEADER}\n{MUARA}\n")
    repeated = started_anew(url, file)
    assert (repeated.returncode, repeated.stdout) == (0, "baru 0  diperbarui 0  tetap 1  salah 0: tertulis\n")
    file.write_text(f"{HEADER};Telepon kontak\n{MUARA.replace('100.20', '100.22').replace('serat', 'SERAT')};0812\n")
    changed = sinyal(url, file, "--dry-run").stdout
    assert "198.51.100.20 → 198.51.100.22" in changed
    assert ("Telepon kontak" in changed, "0812" in changed) == (True, False)
    async with transaction(open_sessions(engine)) as session:
        entries = list(await session.scalars(select(Audit).order_by(Audit.id)))
    actor = f"command line ({getpass.getuser()})"
    assert [(entry.actor, entry.source, entry.action) for entry in entries] == [
        (actor, "import", "create"),
        (actor, "import", "import"),
    ]


async def test_a_file_that_says_no_probe_is_read_and_what_many_rows_share_comes_before_the_rows(
    database: tuple[str, AsyncEngine], tmp_path: Path, sinyal: Sinyal
) -> None:
    url, _ = database
    file = tmp_path / "kukar.csv"
    rows = (f"64.02.05.200{n};fo;{provider};198.51.100.{n}" for n, provider in ((4, "Telkom WMS"), (5, "X"), (6, "X")))
    file.write_text("\n".join(("Kode desa;Teknologi;ISP;IP", *rows)))
    for options, assumed in (((), "3 icmp"), (("--default-probe", "push"), "3 push")):
        lines = sinyal(url, file, "--dry-run", "--lang", "en", *options).stdout.splitlines()
        assert lines[0].startswith("2 of 3 rows are wrong. Nothing was written")
        assert lines[1].startswith("2 × column C (ISP): There is no provider X")
        assert lines[1].endswith("[row 3, 4]")
        assert assumed in lines[2]
        assert lines[-1] == "create 1  update 0  same 0  error 2: nothing written"


async def test_a_workbook_that_cannot_be_reported_on_is_refused_and_not_written(
    database: tuple[str, AsyncEngine], tmp_path: Path, sinyal: Sinyal
) -> None:
    url, _ = database
    file, report = tmp_path / "kukar.xlsx", tmp_path / "hasil.xlsx"
    file.write_bytes(unreportable_workbook())
    refused = sinyal(url, file, "--report", report)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)
    assert (report.exists(), sinyal(url, file).stdout) == (False, "baru 1  diperbarui 0  tetap 0  salah 0: tertulis\n")


async def test_a_file_that_is_no_table_is_one_line(
    database: tuple[str, AsyncEngine], tmp_path: Path, sinyal: Sinyal
) -> None:
    url, _ = database
    file = tmp_path / "surat.pdf"
    file.write_bytes(b"%PDF-1.7")
    for arguments, expected in (
        ((file,), "surat.pdf: Berkas ini bukan"),
        ((tmp_path / "none.csv",), "none.csv: No such file"),
        ((file, "--lang", "fr"), "--lang is id or en"),
        ((file, "--default-probe", "ping"), "--default-probe is icmp, push, tcp or http"),
    ):
        process = sinyal(url, *arguments)
        assert (process.returncode, process.stdout, len(process.stderr.splitlines())) == (2, "", 1)
        assert expected in process.stderr


async def test_an_address_is_accepted_that_the_running_instance_accepts(
    database: tuple[str, AsyncEngine], tmp_path: Path, sinyal: Sinyal
) -> None:
    """The demo allows loopback addresses on its own account: its API accepts them, and so must this command."""
    url, _ = database
    file, folder = tmp_path / "desa.csv", tmp_path / "data"
    file.write_text(f"{HEADER}\n{MUARA.replace('198.51.100.20', '127.9.9.9')}\n")
    folder.mkdir()
    refused = sinyal(url, file, "--lang", "en", SINYAL_DATA_DIR=str(folder))
    assert (refused.returncode, "error 1: nothing written" in refused.stdout) == (1, True)
    with instance.recorded(Settings(data_dir=folder, database_url=url), allow=["127.0.0.0/8"]):
        accepted = sinyal(url, file, "--lang", "en", SINYAL_DATA_DIR=str(folder))
    assert accepted.returncode == 0
    assert accepted.stdout.splitlines()[-1] == "create 1  update 0  same 0  error 0: written"
