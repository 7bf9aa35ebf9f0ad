"""An import's verdicts as a table: the rows of one kind, page by page, each wrong cell with what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Fault = Mapping[str, Any]

VERDICTS = ("error", "create", "update", "same")
SHOWN = (*VERDICTS, "warning", "all")
PER_PAGE = 50


@dataclass(slots=True)
class CellView:
    text: str
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class RowView:
    label: str  # as Excel numbers it, after its sheet where there are several
    verdict: str
    code: str | None
    site_id: int | None
    cells: list[CellView]
    errors: list[Fault]  # those of no column that is shown
    warnings: list[Fault]
    wrong_columns: list[str] = field(default_factory=list)  # where to look, for a table wider than the window


@dataclass(frozen=True, slots=True)
class ImportView:
    show: str
    page: int  # from 1
    pages: int
    columns: list[str]  # headers of the file
    rows: list[RowView]


def view(report: Mapping[str, Any], *, show: str, page: int) -> ImportView:
    """Return the rows to show: the wrong ones first, where there are any and nothing else was chosen."""
    if show not in SHOWN:
        show = "error" if report["counts"]["error"] else "all"
    rows = [row for row in report["rows"] if _is_shown(row, show)]
    pages = max(1, -(-len(rows) // PER_PAGE))
    page = min(max(1, page), pages)
    rows = rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    columns = _columns(report["columns"]["recognised"], rows)
    return ImportView(show, page, pages, list(columns.values()), [_row(row, columns) for row in rows])


def _is_shown(row: Mapping[str, Any], show: str) -> bool:
    return show == "all" or row["verdict"] == show or (show == "warning" and bool(row["warnings"]))


def _columns(recognised: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return those columns in which any of the rows has something to show, by field."""
    used = {name for row in rows for name in (*row["cells"], *row["changes"])}
    faulty = {fault["header"] for row in rows for fault in (*row["errors"], *row["warnings"])}
    return {name: header for name, header in recognised.items() if name in used or header in faulty}


def _row(row: Mapping[str, Any], columns: Mapping[str, str]) -> RowView:
    cells = {header: CellView(_text(row, name)) for name, header in columns.items()}
    shown = RowView(_label(row), row["verdict"], row["code"], row["site_id"], list(cells.values()), [], [])
    for fault in row["errors"]:
        _place(fault, cells, shown).errors.append(fault)
    for fault in row["warnings"]:
        _place(fault, cells, shown).warnings.append(fault)
    shown.wrong_columns = [header for header, cell in cells.items() if cell.errors]
    return shown


def _place(fault: Fault, cells: Mapping[str, CellView], row: RowView) -> CellView | RowView:
    return cells[fault["header"]] if fault["header"] in cells else row  # noqa: SIM401  # of two types


def _text(row: Mapping[str, Any], name: str) -> str:
    if name in row["cells"]:
        return str(row["cells"][name])
    after = row["changes"].get(name, {}).get("after")
    return "" if after is None else str(after)


def _label(row: Mapping[str, Any]) -> str:
    return str(row["row"]) if row["sheet"] is None else f"{row['sheet']}!{row['row']}"
