"""Importing a spreadsheet in the console: checked, marked, confirmed, and every unusable file explained."""

import io
from typing import Any

import openpyxl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.console import Page, Visitor
from tests.support.imports import HEADER, MUARA, workbook

IMPORT, CONFIRM = "/console/sites/import", "/console/sites/import/confirm"
TOP = [*HEADER.split(";"), "Catatan"]
WRONG = [VILLAGE, "kabel", "Telkom WMS", "icmp", "10.0.0.1", "<script>x</script>\u202e"]


async def send(visitor: Visitor, content: bytes, name: str = "kukar.xlsx") -> Page:
    fields = (await visitor.get(IMPORT)).form(IMPORT)
    return await visitor.post(IMPORT, fields, files={"file": (name, content)})


async def hosts(session: AsyncSession) -> list[Any]:
    return list(await session.scalars(text("SELECT host FROM site ORDER BY host")))


async def test_wrong_cells_are_marked_in_their_place_and_the_right_rows_written(
    officer: Visitor, cast: Cast, session: AsyncSession
) -> None:
    await register(cast, host="198.51.100.9", service_no="A-1")
    right = [[*MUARA.split(";")[:4], f"198.51.100.{20 + n}", f"baris {n}"] for n in range(2)]
    for n, row in enumerate(right):
        row[0] = f"64.02.05.{2003 + n}" if n else "64.02.05.2005"
    page = await officer.follow(await send(officer, workbook(TOP, WRONG, *right)))
    assert page.status == 200
    assert "1 dari 3 baris salah" in page.text
    marked = page.tree.xpath('//table[contains(@class, "verdicts")]//td[@class="wrong"]')
    assert [cell.xpath("bdi")[0].text for cell in marked] == ["kabel", "10.0.0.1"]
    assert "serat optik" in marked[0].text_content()
    [outcome] = page.tree.xpath('//td[@class="outcome"]')
    assert [header.text for header in outcome.xpath("span/bdi")] == ["Teknologi", "Alamat IP atau host"], (
        "which cells, however far right"
    )
    assert "<script>x" not in page.response.text
    everything = await officer.get(f"{page.response.url.path}?{page.response.url.query.decode()}&show=all")
    assert "198.51.100.20" in everything.text
    assert await hosts(session) == ["198.51.100.9"]
    fields = page.form(CONFIRM) | {"partial": "true"}
    done = await officer.post(CONFIRM, fields)
    assert "Baru: 2." in done.text
    assert "Dilewati karena salah: 1" in done.text
    assert len(done.tree.xpath('//td/a[contains(@href, "/console/sites/")]')) == 2
    assert await hosts(session) == ["198.51.100.20", "198.51.100.21", "198.51.100.9"]
    again = await officer.post(CONFIRM, fields)
    assert "sudah pernah dikirim" in again.text
    assert len(await hosts(session)) == 3


async def test_the_marked_file_comes_back_as_a_workbook(officer: Visitor, cast: Cast) -> None:
    page = await officer.follow(await send(officer, workbook(TOP, WRONG)))
    [link] = page.tree.xpath('//a[contains(@href, "/import/report")]/@href')
    answer = (await officer.get(link)).response
    assert "attachment" in answer.headers["content-disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [cell.value for cell in sheet[1]][-2:] == ["Hasil", "Saran"]
    assert sheet["B2"].fill.fgColor.rgb == sheet["E2"].fill.fgColor.rgb != sheet["A2"].fill.fgColor.rgb


async def test_an_unusable_file_is_explained_and_another_can_be_chosen(officer: Visitor, session: AsyncSession) -> None:
    for content, name in (
        (b"", "kosong.csv"),
        (b"%PDF-1.7 bukan lembar kerja", "surat.xlsx"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "terkunci.xlsx"),
        (b"a;b\n1;2\n", "lain.csv"),
    ):
        page = await send(officer, content, name)
        assert (page.status, bool(page.form(IMPORT))) == (422, True), name
        assert len(page.tree.xpath('//div[@role="alert"]')[0].text_content()) > 40
        assert "Templat (XLSX)" in page.text
    none = await officer.submit(await officer.get(IMPORT), IMPORT)
    assert "Pilih dahulu berkas" in none.text
    fields = (await officer.get(IMPORT)).form(IMPORT)
    huge = await officer.post(IMPORT, fields, files={"file": ("besar.csv", b"x" * 20_000_100)})
    assert huge.status == 413
    assert "20 MB" in huge.text
    gone = await officer.get(f"{IMPORT}?upload=lama")
    assert "Pilih kembali berkasnya" in gone.text


async def test_a_kept_file_is_its_senders_alone_and_readers_import_nothing(
    officer: Visitor, neighbour: Visitor, reader: Visitor, cast: Cast
) -> None:
    sent = await send(officer, workbook(TOP, [*MUARA.split(";"), ""]))
    address = sent.response.headers["location"]
    assert (await officer.get(address)).status == 200
    assert (await neighbour.get(address)).status == 422
    assert (await reader.get(IMPORT)).status == 403


async def test_many_rows_come_by_pages(officer: Visitor, cast: Cast) -> None:
    rows = [[*WRONG[:4], f"10.0.0.{n}", str(n)] for n in range(120)]
    page = await officer.follow(await send(officer, workbook(TOP, *rows)))
    assert "Halaman 1 dari 3" in page.text
    last = await officer.get(f"{page.response.url.path}?{page.response.url.query.decode()}&show=error&page=999")
    assert len(last.tree.xpath('//table[contains(@class, "verdicts")]/tbody/tr')) == 20
