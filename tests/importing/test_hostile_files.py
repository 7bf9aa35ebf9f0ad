"""Hostile and damaged files are refused fast, before they take memory."""

import contextlib
import io
import re
import zipfile
from time import process_time

import openpyxl
import pytest
from openpyxl.xml.constants import XLSM

from app.core.errors import Invalid
from app.importing import planning, sheets, xlsx_reader
from app.registry import conflicts, drafts
from tests.support.imports import TOP, refused_with, repack, saved, workbook, workbook_of

GOOD = workbook(TOP, ["64.02.05.2003", "fo", "x", "icmp", "a.id"])


def test_macros_and_bombs_are_refused_before_anything_is_unpacked() -> None:
    assert refused_with(repack(GOOD, xl__vbaProject_bin=b"x").replace(b"vbaProject_bin", b"vbaProject.bin")) == "macros"
    assert refused_with(repack(GOOD, xl__media__big=b"\0" * 90_000_000)) == "too_much_inside"
    assert refused_with(repack(GOOD, **{f"part{n}": b"" for n in range(2_100)})) == "too_much_inside"
    assert refused_with(GOOD[:-200]) == "broken_workbook"


def test_an_entity_bomb_is_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    assert (
        refused_with(repack(GOOD, lambda xml: bomb + xml.partition(b"?>")[2].replace(b"fo", b"&b;")))
        == "broken_workbook"
    )


def test_a_part_with_a_false_size_is_refused() -> None:
    big = repack(GOOD, lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + b" " * 50_000_000))
    with zipfile.ZipFile(io.BytesIO(big)) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    lying = big.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert refused_with(lying) == "broken_workbook"


@pytest.mark.parametrize("far", [b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>x</t></is></c></row>', b""])
def test_far_cells_and_huge_merges_are_read_cheaply(far: bytes) -> None:
    merges = b"".join(b'<mergeCell ref="%s1:%s1048576"/>' % (c, c) for c in (b"F", b"G", b"H", b"XFD"))
    odd = repack(
        GOOD, lambda xml: xml.replace(b"</sheetData>", far + b"</sheetData><mergeCells>" + merges + b"</mergeCells>")
    )
    assert sheets.read(odd).rows[0].number == 2
    with pytest.raises(Invalid):
        xlsx_reader.require_small(xlsx_reader.unpack(odd))


def test_a_sheet_of_a_million_rows_before_the_table_is_skipped_fast() -> None:
    rows = b"".join(b'<row r="%d"><c r="A%d" t="n"><v>1</v></c></row>' % (n, n) for n in range(1, 1_000_000))
    many = workbook_of(Log=[["x"]], Kosong=[["x"]], Data=[TOP, ["64.02.05.2003", "fo", "x", "icmp", "a.id"]])
    blank = re.sub(rb"<c .*?</c>", b"", rows)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(many)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            xml = old.read(name)
            for sheet, instead in (("sheet1", rows), ("sheet2", blank)):
                if name.endswith(f"{sheet}.xml"):
                    xml = xml[: xml.index(b"<row")] + instead + xml[xml.index(b"</row>") + 6 :]
            new.writestr(name, xml)
    began = process_time()
    file = sheets.read(out.getvalue())
    assert process_time() - began < 6
    assert ([row.number for row in file.rows], [(sheet.name, sheet.rows) for sheet in file.unread]) == (
        [2],
        [("Log", sheets.MAX_ROWS)],
    )


def test_more_rows_than_a_registry_has_are_refused() -> None:
    line = b"64.02.05.2003;fo;x;icmp;a.id\n"
    assert refused_with(";".join(TOP).encode() + b"\n" + line * 20_001) == "too_many_rows"
    assert len(sheets.read(";".join(TOP).encode() + b"\n" + line * 20_000).rows) == 20_000


def test_thousands_of_rows_of_one_site_or_address_are_compared_fast() -> None:
    hosts = ["198.51.100.1"] * 10_000 + ["198.51.100.2"]
    texts = [f"64.02.05.2003;fo;orbit;icmp;{host}" for host in hosts]
    rows = sheets.read("\n".join([";".join(TOP), *texts]).encode()).rows
    for row in rows:
        row.draft, _ = drafts.parse(row.values, site=None)
    wanted = [row.draft for row in rows if row.draft is not None]
    began = process_time()
    planning.compare_rows(rows)
    conflicting = conflicts.address_conflicts(wanted, {})
    assert process_time() - began < 1
    assert all([fault.code for fault in row.faults] == ["contradiction"] for row in rows)
    assert len(conflicting) == 10_000
    assert max(len(conflict.others) for conflict in conflicting.values()) < 10


@pytest.mark.parametrize("header", ["ip", "kolom {}"])
def test_a_row_of_a_hundred_thousand_columns_is_read_fast(header: str) -> None:
    wide = "".join(f";{header.format(n)}" for n in range(100_000))
    began = process_time()
    with contextlib.suppress(Invalid):
        sheets.read(f"{';'.join(TOP)}{wide}\n64.02.05.2003;fo;x;icmp;a.id\n".encode())
    assert process_time() - began < 2


def test_parts_that_are_small_in_the_file_and_huge_in_memory_are_refused() -> None:
    began = process_time()
    assert refused_with(repack(GOOD, **{"xl/styles.xml": b"<styleSheet>" + b"<xf/>" * 1_000_000})) == "too_much_inside"
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        content_types = archive.read("[Content_Types].xml")
    moved = b'<Override PartName="/xl/worksheets/big.xml" ContentType="%s"/></Types>' % XLSM.encode()
    hidden = {
        "[Content_Types].xml": content_types.replace(b"</Types>", moved),
        "xl/worksheets/big.xml": b"<workbook>" + b"<x/>" * 1_000_000,
    }
    assert refused_with(repack(GOOD, **hidden)) == "too_much_inside"
    assert process_time() - began < 3


def test_many_sheets_with_a_cell_in_the_last_row_are_not_all_scanned() -> None:
    made = openpyxl.Workbook()
    for _ in range(20):
        made.create_sheet().cell(1_048_576, 1, "x")
    began = process_time()
    assert refused_with(saved(made)) == "no_header"
    assert process_time() - began < 5


@pytest.mark.parametrize(
    ("filling", "code"),
    [(b"\n", "too_many_rows"), (b'"', "broken_csv"), (b"x", "broken_csv"), (b"\0", "not_a_table")],
)
def test_a_csv_of_nothing_but_one_character_is_refused_fast(filling: bytes, code: str) -> None:
    began = process_time()
    assert refused_with(";".join(TOP).encode() + b"\n" + filling * 19_000_000) == code
    assert process_time() - began < 10


def test_a_text_longer_than_a_cell_holds_is_a_fault_of_its_row() -> None:
    (row,) = sheets.read(";".join(TOP).encode() + b"\n64.02.05.2003;fo;x;icmp;" + b"a" * 100_000).rows
    assert [(fault.field, fault.code) for fault in row.faults] == [("host", "string_too_long")]
    assert len(row.texts["host"]) < 40_000
