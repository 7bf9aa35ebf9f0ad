"""Import 100,000 rows over the API in five spreadsheets: the first as a dry run, all for real, and the last again."""

import asyncio
import io
import tempfile
import time
from pathlib import Path

import httpx
import openpyxl

from app.access import api_tokens
from app.access.models import Role
from app.api.app import create_app
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers, regions
from app.registry.models import Level
from app.runtime.migrate import migrate
from app.settings import Settings
from tests.conftest import make_database

FILES, ROWS, LIMIT_S = 5, 20_000, 60  # the limit: for all rows, once
HEADER = [
    "No",
    "Kode desa/kelurahan",
    "Nama titik akses",
    "Teknologi",
    "Penyedia",
    "Nomor layanan (SID)",
    "Cara ukur",
    "IP/Host",
    "Lintang",
    "Bujur",
    "Tempat pemasangan",
    "Sumber listrik",
    "Bandwidth (Mbps)",
    "Narahubung",
    "No HP",
    "Keterangan",
]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server_url: str) -> None:
    url = await make_database(server_url)
    engine = open_engine(url, name="bench")
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
        secret = await api_tokens.create_token(session, name="bench", role=Role.PROVINCE_OPERATOR)
    await engine.dispose()
    app = create_app(Settings(database_url=url))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://bench",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=300,
        ) as client,
    ):
        books = [workbook(number * ROWS) for number in range(FILES)]
        print(f"{FILES} files of {ROWS:,} rows, {len(books[0]) / 1e6:.1f} MB of XLSX, {len(HEADER)} columns each")
        await _import(client, books[0], "dry run", {"dry_run": "true"})
        took = [await _import(client, book, "for real", {}) for book in books]
        print(f"{FILES * ROWS:,} rows: {sum(took):.1f} s (limit {LIMIT_S})")
        await _import(client, books[-1], "again", {})


async def _import(client: httpx.AsyncClient, book: bytes, name: str, params: dict[str, str]) -> float:
    """Return how many seconds it took."""
    began, cpu = time.perf_counter(), time.process_time()
    answer = await client.post("/api/v1/sites/import", content=book, params=params)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    counts = answer.raise_for_status().json()["counts"]
    print(
        f"{name}: {took:.1f} s, {spent:.1f} s of our CPU; "
        f"{', '.join(f'{name} {number:,}' for name, number in counts.items() if number)}"
    )
    return took


def workbook(first: int) -> bytes:
    villages = [row for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN]
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet("Titik akses")
    page.append(HEADER)
    for n in range(first, first + ROWS):
        village = villages[n % len(villages)]
        page.append(
            [
                n + 1,
                village["code"],
                f"Titik {n + 1}",
                "serat optik",
                "Telkom WMS",
                f"4700-{n:06d}",
                "icmp",
                f"20{n // 62_500}.{n // 250 // 250}.{n // 250 % 250}.{n % 250}",
                str(village["latitude"]).replace(".", ","),
                village["longitude"],
                "kantor desa",
                "PLN",
                50,
                f"Narahubung {n}",
                f"0812{n:08d}",
                "catatan",
            ]
        )
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


if __name__ == "__main__":
    main()
