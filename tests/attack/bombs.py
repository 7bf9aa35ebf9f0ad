"""Spreadsheets of a few kilobytes that become gigabytes where a reader believes them."""

import io
import zipfile
from collections.abc import Iterator
from functools import cache

PIECE = 1 << 20
SHEET = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
CONTENT_TYPES = b"""<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
RELS = b"""<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Target="xl/workbook.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>"""
WORKBOOK = b"""<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="sites" sheetId="1" r:id="rId1"/></sheets></workbook>"""
WORKBOOK_RELS = b"""<?xml version="1.0"?><Relationships
 xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Target="worksheets/sheet1.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/></Relationships>"""


@cache
def bzip2_blanks() -> bytes:
    """Return 512 MB of blanks behind bzip2."""
    return _workbook(_around(b" " * PIECE for _ in range(512)), zipfile.ZIP_BZIP2)


@cache
def lzma_blanks() -> bytes:
    """Return 256 MB of blanks behind LZMA."""
    return _workbook(_around(b" " * PIECE for _ in range(256)), zipfile.ZIP_LZMA)


@cache
def lying_size() -> bytes:
    """Return 512 MB of blanks behind deflate, declared as 100 bytes."""
    packed = bytearray(_workbook(_around(b" " * PIECE for _ in range(512)), zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    declared = size.to_bytes(4, "little")
    return bytes(packed.replace(declared, (100).to_bytes(4, "little")))


@cache
def empty_cells() -> bytes:
    """Return ten million empty cells."""
    rows = (b"<row>" + b"<c/>" * 10_000 + b"</row>" for _ in range(1_000))
    return _workbook(_around(rows, b"<sheetData>", b"</sheetData>"), zipfile.ZIP_DEFLATED)


@cache
def long_attribute() -> bytes:
    """Return a cell with an attribute of 60 MB."""
    value = (b"A" * PIECE for _ in range(60))
    return _workbook(
        _around(value, b'<sheetData><row><c r="', b'"><v>1</v></c></row></sheetData>'), zipfile.ZIP_DEFLATED
    )


@cache
def many_merges() -> bytes:
    """Return 1.5 million merged ranges."""
    merges = (b'<mergeCell ref="A1:B2"/>' * 15_000 for _ in range(100))
    return _workbook(_around(merges, b"<sheetData/><mergeCells>", b"</mergeCells>"), zipfile.ZIP_DEFLATED)


def long_csv_line() -> bytes:
    """Return a CSV whose one field is 19 MB long."""
    return b'village_code,technology,provider,probe\n"' + b"x" * 19_000_000


def _around(middle: Iterator[bytes], before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    yield SHEET + before
    yield from middle
    yield after + b"</worksheet>"


def _workbook(sheet: Iterator[bytes], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELS)
        archive.writestr("xl/workbook.xml", WORKBOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", WORKBOOK_RELS)
        part = zipfile.ZipInfo("xl/worksheets/sheet1.xml")
        part.compress_type = compression
        with archive.open(part, "w", force_zip64=False) as stream:
            for piece in sheet:
                stream.write(piece)
    return buffer.getvalue()


BOMBS = (bzip2_blanks, lzma_blanks, lying_size, empty_cells, long_attribute, many_merges)
