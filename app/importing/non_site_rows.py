"""Tell the rows of a sheet that describe no site: headers again, column numbers, headings, sums and signatures."""

import re
from collections.abc import Sequence

from app.importing import region_names
from app.importing.cells import Cell
from app.importing.header_detection import field_of
from app.registry.vocabulary import fold

ADDRESS = re.compile(r"\b(jl|jln|jalan|telp|telepon|kode pos|fax|email)\b")
SUM = re.compile(r"(sub ?|grand )?(jumlah|total)\b|rekap")
SIGNATURE = re.compile(
    r"(mengetahui|menyetujui|mengesahkan|disetujui|diketahui|dibuat oleh|disusun oleh|nip)\b"
    r"|kepala (dinas|bidang|seksi)\b"
    r"|[a-z ]+ \d{1,2} [a-z]+ 20\d\d$"  # Tenggarong, 3 November 2026
)


def repeats_header(line: dict[str, Cell]) -> bool:
    """Whether the row is the header again, as on each page of a printed list: names of columns and nothing else."""
    filled = [cell for cell in line.values() if cell not in (None, "")]
    return len(filled) > 1 and all(isinstance(cell, str) and field_of(cell) for cell in filled)


def numbers_columns(cells: Sequence[Cell]) -> bool:
    """Whether the row counts 1, 2, 3, … below the header, as official tables do."""
    texts = [re.sub(r"[()\s]", "", str(cell)).removesuffix(".0") for cell in cells if cell is not None]
    filled = [text for text in texts if text]
    return len(filled) > 2 and filled == [str(number) for number in range(1, len(filled) + 1)]


def heading(cells: Sequence[Cell]) -> str | None:
    """Return the code of the region that a title names, like A. KECAMATAN KENOHAN; None if it names none.

    A letterhead's address and a sum name regions, too.
    """
    text = " ".join(dict.fromkeys(map(_text, cells)))
    return None if ADDRESS.search(fold(text)) or is_sum(cells) else region_names.in_heading(text)


def is_sum(cells: Sequence[Cell]) -> bool:
    return any(SUM.match(fold(text)) for text in map(_text, cells))


def is_signature(cells: Sequence[Cell]) -> bool:
    """Whether signatures begin here: what follows in the sheet describes no site, unless it has a technology."""
    return any(SIGNATURE.match(fold(text)) for text in map(_text, cells))


def _text(cell: Cell) -> str:
    return cell.strip() if isinstance(cell, str) else ""
