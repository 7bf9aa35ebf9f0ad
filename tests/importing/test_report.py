"""The imported file returned as a workbook, with results, suggestions and marks."""

import io
from typing import Any

import openpyxl

from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.contracts import create_contract
from tests.support.imports import HEADER, MUARA, fault_codes, repack, saved, upload

INDONESIAN = {"Accept-Language": "id"}


async def test_the_workbook_comes_back_with_a_result_and_a_suggestion_for_each_row(cast: Cast) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["DAFTAR TITIK AKSES"])
    page.append(HEADER.split(";"))
    page.append(MUARA.split(";"))
    page.append([f"{VILLAGE[:-1]}4", "=1+1", "telkom wms", "icmp", "=cmd"])
    data = saved(book)
    answer = await upload(cast.ana, data, INDONESIAN, dry_run=True, format="xlsx")
    assert answer.status_code == 200, answer.text
    back = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [cell.value for cell in back[2]][-2:] == ["Hasil", "Saran"]
    assert back["F3"].value == "baru"
    assert back["F4"].value == "salah"
    assert "kolom B (Teknologi): " in str(back["G4"].value)
    assert back["B4"].value == "=1+1"
    once_more = await upload(cast.ana, answer.content, INDONESIAN, dry_run=True, format="xlsx")
    again = openpyxl.load_workbook(io.BytesIO(once_more.content)).worksheets[0]
    assert again.max_column == back.max_column
    csv = await upload(cast.ana, f"{HEADER}\n=x;{MUARA.partition(';')[2]}", dry_run=True, format="xlsx")
    cell = openpyxl.load_workbook(io.BytesIO(csv.content)).worksheets[0]["A2"]
    assert (cell.value, cell.data_type) == ("=x", "s")


async def test_a_report_overwrites_no_cell(cast: Cast) -> None:
    book = openpyxl.Workbook()
    page: Any = book.active
    page.append(HEADER.split(";"))
    page.append([*MUARA.split(";"), None, "tanpa judul"])
    data = saved(book)
    answer = await upload(cast.ana, data, dry_run=True, format="xlsx")
    back = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [back["G2"].value, back["H1"].value, back["H2"].value] == ["tanpa judul", "Result", "create"]


async def test_rows_of_every_sheet_are_written_and_unread_sheets_are_reported(cast: Cast) -> None:
    book = openpyxl.Workbook(write_only=True)
    for title, lines in (
        ("Titik akses", [HEADER.split(";")]),
        ("Muara", [HEADER.split(";"), MUARA.split(";")]),
        ("Kenohan", [HEADER.split(";"), ["64.02.05.2004", *MUARA.split(";")[1:]]]),
        ("Rekap", [["Kabupaten", "Jumlah"], ["Kutai Kartanegara", 2]]),
    ):
        page: Any = book.create_sheet(title)
        for line in lines:
            page.append(line)
    data = saved(book)
    result = (await upload(cast.ana, data, INDONESIAN, dry_run=True)).json()
    assert [(row["sheet"], row["row"], fault_codes(row)) for row in result["rows"]] == [
        ("Muara", 2, {"host": "duplicate_address"}),
        ("Kenohan", 2, {"host": "duplicate_address"}),
    ]
    assert "Kenohan!2" in result["rows"][0]["errors"][0]["message"]
    assert result["columns"]["other_sheets"] == [{"sheet": "Rekap", "rows": 2}]
    (warning,) = result["warnings"]
    assert "Lembar Rekap tidak dibaca (2 baris)" in warning["message"]
    for _ in range(2):  # a report, and the report of it
        answer = await upload(cast.ana, data, INDONESIAN, dry_run=True, format="xlsx")
        back = openpyxl.load_workbook(io.BytesIO(answer.content))
        assert [back["Muara"]["F2"].value, back["Kenohan"]["F2"].value] == ["salah", "salah"]
        overview = [str(row[0].value) for row in back["Peringatan impor"]]
        assert overview[0].startswith("2 dari 2 baris salah")
        assert "Lembar Rekap" in overview[-1]
        data = answer.content


async def test_the_indonesian_report_names_rows_in_indonesian(cast: Cast) -> None:
    answer = await upload(cast.ana, f"{HEADER}\n{MUARA}\n{MUARA}", INDONESIAN, dry_run=True, format="xlsx")
    page = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert str(page["G3"].value).startswith("baris: Isinya sama dengan baris 2")


async def test_the_report_shows_changes_and_the_village_found_but_no_contacts(cast: Cast) -> None:
    made = await register(cast, host="198.51.100.1", contact_name="Bu Rina", contact_phone="0812")
    header = f"Kode titik akses;{HEADER};Telepon kontak;Tempat"
    change, new = f"{made['code']};;;;;198.51.100.2;0813;balai", f";64.02.05.2004;{MUARA.partition(';')[2]};;"
    answer = await upload(cast.ana, f"{header}\n{change}\n{new}", INDONESIAN, dry_run=True, format="xlsx")
    page = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert str(page["J2"].value).splitlines() == [
        "Alamat IP atau host: 198.51.100.1 → 198.51.100.2",
        "Tempat pemasangan: (kosong) → balai",
        "Telepon kontak: diubah",
    ]
    assert page["J3"].value == "Kode desa/kelurahan: 64.02.05.2004 Muara Badak Ilir, Kecamatan Muara Badak"


async def test_the_report_calls_contracts_and_parents_by_number_and_code(cast: Cast) -> None:
    contract, site = await create_contract(cast), await register(cast)
    node = await register(cast, kind="node", host="198.51.100.77")
    file = f"Kode titik akses;Nomor kontrak;Simpul induk\n{site['code']};{contract['number']};{node['code']}"
    answer = await upload(cast.ana, file, INDONESIAN, dry_run=True, format="xlsx")
    page = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert str(page["E2"].value).splitlines() == [
        f"Simpul induk: (kosong) → {node['code']}",
        f"Nomor kontrak: (kosong) → {contract['number']}",
    ]


async def test_the_report_marks_wrong_cells_and_imports_like_the_original(cast: Cast) -> None:
    book = openpyxl.Workbook()
    page: Any = book.active
    for line in (HEADER.split(";"), ["64.02.05.2003", "fo", "telkom wms", "icmp", "=1+1"], ["64.02.05.2004", "fo"]):
        page.append(line)
    page["E3"] = "198.51.100.7"
    data = saved(book)
    stored = repack(data, lambda xml: xml.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>198</v>"))
    answer = await upload(cast.ana, stored, INDONESIAN, dry_run=True, format="xlsx")
    back: Any = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert (back["E2"].value, back.freeze_panes, back.auto_filter.ref) == (198, "A2", "A1:G3")
    colours = {name: back[name].fill.fgColor.rgb[2:] for name in ("E2", "F2", "C3", "D3", "E3")}
    assert colours == {"E2": "F8CBAD", "F2": "F8CBAD", "C3": "F8CBAD", "D3": "F8CBAD", "E3": "000000"}
    assert back["G3"].alignment.wrap_text
    back["C3"], back["D3"], back["E2"] = "telkom wms", "icmp", "198.51.100.8"
    data = saved(back.parent)
    again = await upload(cast.ana, data, INDONESIAN, dry_run=True, format="xlsx")
    page = openpyxl.load_workbook(io.BytesIO(again.content)).worksheets[0]
    assert [page[name].fill.fgColor.rgb[2:] for name in ("C3", "F3")] == ["000000", "E2EFDA"]
    assert "kolom" not in str(page["G2"].value)
    result = [(await upload(cast.ana, data, dry_run=True)).json()["rows"] for data in (stored, answer.content)]
    assert result[0] == result[1]
