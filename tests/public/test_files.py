"""The public pages as plain files: what is written when, what is removed, and nginx serving them without the api."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.engine import Sessions
from app.public import addresses, files
from app.public.files import MARK, ForeignFolder, PublicFiles
from app.public.snapshot import STATES_EVERY_S
from app.settings import PublicSettings, Settings
from app.web.security_headers import POLICY
from tests.conftest import Cast
from tests.factories import VILLAGE
from tests.support.demo_process import free_port
from tests.support.nginx import NGINX, behind_nginx, example_config
from tests.support.site_histories import day, site_since
from tests.support.status import judge
from tests.support.uptime import count

HOME = {"index.html", "en/index.html"}
Make = Callable[..., PublicFiles]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that nginx may read, whoever runs it."""
    with TemporaryDirectory(prefix="sinyal-public-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "public"


@pytest.fixture
def make(sessions: Sessions, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes writers into one folder, of one kecamatan's villages: a thousand take their time."""
    few = [code for code in addresses.villages() if code.startswith("64.02.05.")]
    monkeypatch.setattr(addresses, "villages", lambda: few)

    def make_files(**changes: Any) -> PublicFiles:
        return PublicFiles(folder, lambda: sessions, Settings(public=PublicSettings(**changes)))

    return make_files


def inodes(folder: Path) -> dict[str, int]:
    return {f.relative_to(folder).as_posix(): f.stat().st_ino for f in folder.rglob("*") if f.is_file()}


async def write(writer: PublicFiles, folder: Path) -> set[str]:
    """Write what is due a minute later; return the files that were replaced."""
    before = inodes(folder)
    writer._reader._fresh_until -= STATES_EVERY_S
    written = await writer.write()
    changed = {name for name, inode in inodes(folder).items() if before.get(name) != inode}
    assert len({name for name in changed if not name.startswith("assets/")} - {MARK}) == written
    return changed


async def test_only_what_changed_is_written_again(
    cast: Cast, session: AsyncSession, make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await site_since(session, cast, day(3))
    await judge(session, site, "up")
    await count(session)
    monkeypatch.setattr(files, "MINUTES", 10**9)  # no file's minute comes
    writer = make()
    first = await write(writer, folder)
    assert {*HOME, f"desa/{VILLAGE}.html", "en/kabupaten/64.01.html", "data/desa.geojson", "metode.html"} <= first
    assert await write(writer, folder) == set()
    await judge(session, site, "down")
    of_village = {f"desa/{VILLAGE}.html", f"en/desa/{VILLAGE}.html"}
    assert await write(writer, folder) == of_village | HOME | {"kabupaten/64.02.html", "en/kabupaten/64.02.html"}
    assert "putus" in (folder / f"desa/{VILLAGE}.html").read_text()
    assert (folder / "index.html").stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(files, "MINUTES", 1)  # each file's minute: its days were not counted again since
    assert await write(writer, folder) == {"data/desa.csv", "data/desa.geojson"}


async def test_what_is_not_published_any_more_is_removed(cast: Cast, make: Make, folder: Path) -> None:
    await make().write()
    (folder / "own.html").write_text("somebody put it there")
    await make(level="district").write()
    names = inodes(folder)
    assert [name for name in names if "desa" in name and name != MARK] == []
    assert {"own.html", "kabupaten/64.02.html", "data/kabupaten-bulanan.csv"} <= set(names)
    await make(level="none").write()
    assert [name for name in inodes(folder) if "kabupaten" in name or "data" in name] == []


async def test_a_folder_of_somebody_else_is_left_alone(cast: Cast, make: Make, folder: Path) -> None:
    files.replace_file(folder / "index.html", b"another site")
    with pytest.raises(ForeignFolder, match="folder of its own"):
        await make().write()
    assert (folder / "index.html").read_text() == "another site"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_nginx_serves_the_files_while_the_api_is_down(
    cast: Cast, session: AsyncSession, make: Make, folder: Path, tmp_path: Path
) -> None:
    site = await site_since(session, cast, day(3))
    await judge(session, site, "up")
    await make().write()
    config = example_config().replace("/var/lib/sinyal-public", str(folder))
    (tmp_path / "nginx").mkdir()
    async with (
        behind_nginx(free_port(), tmp_path / "nginx", config=config) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        for path in ("/", "/en", "/kabupaten/64.02", f"/en/desa/{VILLAGE}", "/metode", "/data"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "The service cannot be reached" in answer.text or "Layanan sedang tidak terjangkau" in answer.text
            assert "default-src 'none'" in answer.headers[POLICY]
        village = await client.get(f"/desa/{VILLAGE}")
        assert "normal" in village.text
        assert "WITA" in village.text
        style = village.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert (await client.get(style)).status_code == 200
        assert (await client.get("/data/desa.csv")).text.count("\n") == 2
        for path in ("/desa/64.02.05.9999", "/console", "/api/v1/sites"):
            assert (await client.get(path)).status_code in {502, 503}
