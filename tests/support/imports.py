"""Upload files to the import, as a district's staff would."""

import io
import zipfile
from typing import Any

import httpx
import openpyxl
import pytest

from app.core.errors import Invalid
from app.importing import sheets
from tests.conftest import Person
from tests.factories import VILLAGE

HEADER = "Kode desa/kelurahan;Teknologi;Penyedia;Cara ukur;Alamat IP atau host"
TOP = ["Kode desa", "Teknologi", "ISP", "Metode", "IP"]  # a shorter header
MUARA = f"{VILLAGE};serat optik;Telkom WMS;icmp;198.51.100.20"  # a row below HEADER


async def upload(
    person: Person, content: bytes | str, headers: dict[str, str] | None = None, **params: Any
) -> httpx.Response:
    data = content.encode() if isinstance(content, str) else content
    return await person.client.post(
        "/api/v1/sites/import", content=data, params=params, headers={"Content-Type": "text/csv", **(headers or {})}
    )


async def dry_run(person: Person, *lines: str, language: str = "en", **params: Any) -> list[dict[str, Any]]:
    """Return the rows of a dry run."""
    answer = await upload(person, "\n".join(lines), {"Accept-Language": language}, dry_run=True, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]  # type: ignore[no-any-return]


def fault_codes(row: dict[str, Any]) -> dict[str, str]:
    """Return the code of each error, by field."""
    return {fault["field"]: fault["code"] for fault in row["errors"]}


def workbook(*rows: list[Any], merges: tuple[str, ...] = ()) -> bytes:
    """Return a workbook of one sheet."""
    page: Any = (book := openpyxl.Workbook()).active
    for row in rows:
        page.append(row)
    for merge in merges:
        page.merge_cells(merge)
    return saved(book)


def workbook_of(**pages: list[list[Any]]) -> bytes:
    """Return a workbook with sheets by name."""
    book = openpyxl.Workbook(write_only=True)
    for title, rows in pages.items():
        page: Any = book.create_sheet(title)
        for row in rows:
            page.append(row)
    return saved(book)


def refused_with(data: bytes) -> str:
    """Return the code of the first fault that reading the file raises."""
    with pytest.raises(Invalid) as error:
        sheets.read(data)
    return error.value.faults[0].code


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def repack(data: bytes, change: Any = lambda xml: xml, **more: bytes) -> bytes:
    """Change the XML of a workbook's first sheet, and add or replace parts (`__` in a name stands for `/`)."""
    out, parts = io.BytesIO(), {name.replace("__", "/"): content for name, content in more.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts:
                xml = old.read(name)
                new.writestr(name, change(xml) if name == "xl/worksheets/sheet1.xml" else xml)
        for name, content in parts.items():
            new.writestr(name, content)
    return out.getvalue()


def unreportable_workbook() -> bytes:
    """Return a workbook with one importable row and a merge that openpyxl would need millions of cells for."""
    page: Any = (book := openpyxl.Workbook()).active
    for line in (HEADER, MUARA):
        page.append(line.split(";"))
    merges = b'<mergeCells><mergeCell ref="H1:XFD1048576"/></mergeCells>'
    return repack(saved(book), lambda xml: xml.replace(b"</sheetData>", b"</sheetData>" + merges))
