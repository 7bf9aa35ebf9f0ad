"""Unpack an untrusted workbook in bounded pieces, and count what its XML holds before openpyxl parses any of it.

The result is stored, not compressed: whoever opens it can trust its sizes.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

from app.core.errors import Fault, Invalid

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})  # what spreadsheet programs write
PIECE_BYTES = 64 * 1024
MAX_PARTS, MAX_UNPACKED = 2_000, 80_000_000
MAX_BETWEEN_TAGS = 1_000_000  # bytes without a tag, and within one: texts, attributes, comments
MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS = 256, 100, 4_500_000
MAX_SHEETS, MAX_ROW_CELLS, MAX_MERGES = 256, 16_384, 50_000  # a row of Excel has no more cells
CELL_PARTS = frozenset({"row", "v", "f", "is", "t", "mergeCell"})


@dataclass(slots=True)
class PartContents:
    size: int = 0  # bytes
    cells: int = 0
    others: int = 0  # elements besides cells and what they consist of, such as pick lists and links
    formulas: int = 0
    merges: list[str] = field(default_factory=list)  # ranges, such as A1:B2


@dataclass(frozen=True, slots=True)
class UnpackedWorkbook:
    data: bytes  # a zip archive of stored parts
    parts: Mapping[str, PartContents]  # by name


def unpack(data: bytes) -> UnpackedWorkbook:
    """Raises Invalid for a workbook that is too large, damaged, compressed in an unusual way, or has a DTD."""
    out, parts, left, elements = io.BytesIO(), dict[str, PartContents](), MAX_UNPACKED, MAX_ELEMENTS
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as stored:
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) > MAX_PARTS or sum(info.file_size for info in infos.values()) > MAX_UNPACKED:
                raise too_large()
            for name, info in infos.items():
                scan = _Scan(elements)
                with stored.open(name, "w") as copy:
                    for piece in _inflate(archive, info):
                        scan.feed(piece)
                        copy.write(piece)
                        if (left := left - len(piece)) < 0:
                            raise too_large()
                parts[name], elements = scan.contents, scan.elements_left
    except (Invalid, MemoryError):
        raise
    except Exception:  # zipfile raises all kinds of errors on a damaged file
        raise broken() from None
    return UnpackedWorkbook(out.getvalue(), parts)


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a part in pieces. A piece is inflated no further than its own length, whatever the size declared."""
    if info.compress_type not in METHODS:
        raise broken()
    with archive.open(info) as part:
        while piece := part.read(PIECE_BYTES):
            yield piece


class _Scan:
    """Counts a part's elements as it arrives. What is no XML is not counted: openpyxl cannot parse it, either."""

    def __init__(self, elements_left: int) -> None:
        self.contents, self.elements_left = PartContents(), elements_left
        self._depth = self._row_cells = self._sheets = self._since_tag = 0
        self._is_xml = True
        self._parser = ParserCreate()
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse_dtd

    def feed(self, piece: bytes) -> None:
        self.contents.size += len(piece)
        if not self._is_xml:
            return
        self._since_tag += len(piece)
        try:
            self._parser.Parse(piece)
        except (ExpatError, LookupError):
            self._is_xml = False
        if self._since_tag > MAX_BETWEEN_TAGS:
            raise too_large()

    def _start(self, tag: str, attributes: list[str]) -> None:
        self._since_tag = 0
        self._depth += 1
        self.elements_left -= 1
        if self.elements_left < 0 or self._depth > MAX_DEPTH or len(attributes) > 2 * MAX_ATTRIBUTES:
            raise too_large()
        name = tag.rpartition(":")[2]
        if name == "c":
            self.contents.cells += 1
            self._row_cells += 1
            if self._row_cells > MAX_ROW_CELLS:
                raise too_large()
        elif name == "row":
            self._row_cells = 0
        elif name == "f":
            self.contents.formulas += 1
        elif name == "mergeCell":
            self._merge(dict(zip(attributes[::2], attributes[1::2], strict=True)))
        elif name not in CELL_PARTS:
            self._other(name)

    def _end(self, tag: str) -> None:
        self._since_tag = 0
        self._depth -= 1

    def _merge(self, attributes: Mapping[str, str]) -> None:
        self.contents.merges.append(attributes.get("ref", ""))
        if len(self.contents.merges) > MAX_MERGES:
            raise too_large()

    def _other(self, name: str) -> None:
        self.contents.others += 1
        if name == "sheet":
            self._sheets += 1
            if self._sheets > MAX_SHEETS:
                raise too_large()


def _refuse_dtd(*declaration: object) -> None:
    raise broken()


def too_large() -> Invalid:
    return Invalid(
        Fault(
            "file",
            "too_much_inside",
            "The workbook is too large for a list of sites",
            "Copy only the table into a new workbook",
        )
    )


def broken() -> Invalid:
    return Invalid(
        Fault(
            "file",
            "broken_workbook",
            "The workbook cannot be read: it is damaged",
            "Open it in Excel and save it again as .xlsx",
        )
    )
