"""Read CSV as Excel and other programs save it: any usual delimiter and encoding."""

import codecs
import csv
import io
from collections.abc import Iterator

from app.core.errors import Fault, Invalid
from app.importing.cells import LAST_COLUMN, Cell

DELIMITERS = ";\t,|"
MAX_LINES = 1_048_576  # as many as a sheet of Excel has
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read(data: bytes) -> Iterator[tuple[str, Iterator[tuple[int, list[Cell]]]]]:
    """Yield each delimiter found in the text with the numbered rows it makes. Raises Invalid for binary data."""
    text = _decode(data)
    if text.lower().startswith("sep="):
        text = text.partition("\n")[2]  # Excel's own directive; Excel does not count it as a row
    return ((delimiter, _rows(text, delimiter)) for delimiter in DELIMITERS if delimiter in text)


def too_many_rows(most: int) -> Invalid:
    return Invalid(
        Fault(
            "file",
            "too_many_rows",
            "There are more than {most} rows",
            "Split it into several files",
            values={"most": most},
        )
    )


def _decode(data: bytes) -> str:
    """Decode UTF-8 where it is valid, else cp1252, which Windows writes."""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    try:
        if encoding is None and b"\0" not in data and not data.startswith((b"%PDF", b"<")):
            try:
                return data.decode()
            except UnicodeDecodeError:
                return data.decode("cp1252", errors="replace")
        if encoding is not None:
            return data.decode(encoding)
    except UnicodeDecodeError:
        pass
    raise Invalid(
        Fault(
            "file",
            "not_a_table",
            "The file is neither an Excel workbook (.xlsx) nor a CSV file",
            "Open it in Excel and save it as .xlsx",
        )
    )


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[Cell]]]:
    """A quoted cell may hold line breaks: its row counts once, as in Excel. Blank rows are left out.

    Raises Invalid for more than MAX_LINES of either.
    """
    try:
        for number, line in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if number > MAX_LINES:
                raise too_many_rows(MAX_LINES)
            if any(map(str.strip, cells := line[:LAST_COLUMN])):
                yield number, list(cells)
    except csv.Error as error:
        raise Invalid(
            Fault(
                "file",
                "broken_csv",
                "The CSV file cannot be read: {error}",
                "Look for a quotation mark that is not closed",
                values={"error": str(error)},
            )
        ) from None
