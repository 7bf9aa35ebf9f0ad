"""Workbooks of a few kilobytes that take gigabytes where sizes are believed or parts are inflated whole."""

import io
import zipfile
import zlib
from collections.abc import Callable

from tests.support.imports import TOP, repack, workbook

GOOD = workbook(TOP, ["64.02.05.2003", "fo", "x", "icmp", "a.id"])
SHEET = "xl/worksheets/sheet1.xml"


SWELLING: dict[str, Callable[[], bytes]] = {
    "deflate with a false size": lambda: _with_false_size(zipfile.ZIP_DEFLATED),
    "bzip2 with a false size": lambda: _with_false_size(zipfile.ZIP_BZIP2),
    "lzma with a false size": lambda: _with_false_size(zipfile.ZIP_LZMA),
    "empty cells in one row": lambda: _with_rows(b"<row r='2'>" + b"<c/>" * 10_000_000 + b"</row>"),
    "empty rows": lambda: _with_rows(b"<row/>" * 10_000_000),
    "an attribute": lambda: _changed(b"<sheetData>", b"<sheetData a='" + b"x" * 60_000_000 + b"'>"),
    "attributes": lambda: _changed(
        b"<sheetData>", b"<sheetData %s>" % b" ".join(b"a%d='1'" % n for n in range(60_000))
    ),
    "a comment": lambda: _changed(b"<sheetData>", b"<!--" + b"x" * 60_000_000 + b"--><sheetData>"),
    "merges": lambda: _changed(
        b"</sheetData>", b"</sheetData><mergeCells>" + b'<mergeCell ref="A1:A9"/>' * 1_500_000 + b"</mergeCells>"
    ),
    "depth": lambda: _changed(b"<sheetData>", b"<x>" * 1_000_000 + b"</x>" * 1_000_000 + b"<sheetData>"),
    "sheets": lambda: _with_many_sheets(),
}


def _with_false_size(method: int) -> bytes:
    """Return a workbook whose sheet declares 2,000 bytes, with their checksum, and inflates to 500 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(out, "w") as new:
        shown = old.read(SHEET).ljust(2_000)[:2_000]
        for name in old.namelist():
            info = zipfile.ZipInfo(name)
            info.compress_type = method if name == SHEET else zipfile.ZIP_STORED
            with new.open(info, "w") as part:
                part.write(shown if name == SHEET else old.read(name))
                for _ in range(500 if name == SHEET else 0):
                    part.write(b" " * 1_000_000)
        info = new.getinfo(SHEET)
        info.file_size, info.CRC = len(shown), zlib.crc32(shown)
    data, at = bytearray(out.getvalue()), info.header_offset  # the same in the part's own header
    data[at + 14 : at + 18], data[at + 22 : at + 26] = info.CRC.to_bytes(4, "little"), len(shown).to_bytes(4, "little")
    return bytes(data)


def _with_rows(rows: bytes) -> bytes:
    return _changed(b"</sheetData>", rows + b"</sheetData>")


def _changed(before: bytes, after: bytes) -> bytes:
    return repack(GOOD, lambda xml: xml.replace(before, after))


def _with_many_sheets() -> bytes:
    """Return a workbook that names its sheet 5,000 times."""
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        book = archive.read("xl/workbook.xml")
    start, end = book.index(b"<sheet "), book.index(b"</sheets>")
    sheets = [book[start:end].replace(b'name="Sheet"', b'name="Sheet%d"' % n) for n in range(5_000)]
    return repack(GOOD, **{"xl/workbook.xml": book[:start] + b"".join(sheets) + book[end:]})
