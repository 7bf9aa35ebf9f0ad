"""One row of a sheet: its parsed values, and what the import finds wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import Fault
from app.core.validation import FaultError
from app.importing import cells, positions
from app.importing.cells import Cell, CellError
from app.importing.header_detection import SOURCES, Header
from app.registry.drafts import Draft
from probes.contract import ProbeKind


@dataclass(slots=True, eq=False)
class SheetRow:
    """A row, completed step by step until it has a verdict. Rows compare by identity."""

    number: int  # as Excel shows it
    values: dict[str, Any]  # parsed, by field; blank cells are left out
    texts: dict[str, str]  # as written in the file, by column
    header: Header
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    draft: Draft | None = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # before and after, by field
    duplicate_of: "SheetRow | None" = None  # an earlier row with the same values
    contradicts_earlier: bool = False  # an earlier row of the same site
    sheet: str | None = None  # its name, where the file has rows on several sheets
    heading: str | None = None  # code of the region that a title or a row above names
    names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # of what fields refer to by id, by field
    assumed_probe: ProbeKind | None = None  # of a new site whose sheet does not say it

    @property
    def label(self) -> str:
        """How messages refer to the row: 12, or Sheet1!12."""
        return str(self.number) if self.sheet is None else f"{self.sheet}!{self.number}"

    def add_faults(self, *faults: Fault) -> None:
        """Keep one fault for each field: later ones follow from the first."""
        for fault in faults:
            if all(fault.field != other.field for other in self.faults):
                self.faults.append(fault)

    def source_column(self, field: str) -> str | None:
        """Return the column that a field was read from, or would have been; None if the file has none."""
        present = [name for name in SOURCES.get(field, (field,)) if name in self.header.texts]
        return next((name for name in present if name in self.texts), present[0] if present else None)

    def source_text(self, field: str) -> str | None:
        return self.texts.get(self.source_column(field) or "") or None


def parse(number: int, line: dict[str, Cell], header: Header, decimal_mark: str | None) -> SheetRow | None:
    """Return the row with a fault for each unreadable cell, or None if all known columns are blank."""
    row = SheetRow(number, {}, {}, header)
    for column, cell in line.items():
        parts = positions.split(cell) if column == "position" else {column: cell}
        for name, part in parts.items():
            try:
                value = cells.read(name, part, south=header.south, decimal_mark=decimal_mark)
            except FaultError as error:
                row.add_faults(error.fault)
            else:
                if value is None:
                    continue
                row.values[name] = value
            row.texts[column] = "" if isinstance(cell, CellError) else str(cell)[: cells.MAX_TEXT].strip()
    if re.search(r"[^\W\d_]{2}", str(row.values.get("contact_phone", ""))):
        row.warnings.append(
            Fault(
                "contact_phone",
                "odd_phone",
                "The phone number contains letters",
                "Enter digits only; names go in Nama kontak (contact_name)",
            )
        )
    return row if row.values or row.faults else None


def count_site_fields(row: SheetRow) -> int:
    """Return how many are filled of what a site needs: its place, technology, provider, probe and host.

    A code alone is as much as all of them.
    """
    filled = row.values.keys() | {fault.field for fault in row.faults}
    if "code" in filled:
        return 5
    has_place = not filled.isdisjoint({"village", "village_code"})
    return has_place + len(filled & {"technology", "provider", "probe", "host"})
