"""Import of a district's file over the API: matching, refusals, writes and reports."""

import hashlib
import io
from typing import Any

import openpyxl
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.registry import providers, regions
from tests.conftest import Cast, Person
from tests.factories import VILLAGE, register
from tests.support.imports import HEADER, MUARA, dry_run, fault_codes, repack, saved, upload

INDONESIAN = {"Accept-Language": "id"}


async def test_a_dry_run_writes_nothing_a_real_run_writes_and_repeating_it_changes_nothing(
    cast: Cast, session: AsyncSession
) -> None:
    file = f"{HEADER}\n{MUARA}\n"
    dry = (await upload(cast.ana, file, dry_run=True)).json()
    assert (dry["applied"], dry["counts"]) == (False, {"create": 1, "update": 0, "same": 0, "error": 0, "warning": 0})
    assert (await cast.ana.get("/sites")).json()["items"] == []
    real = (await upload(cast.ana, file)).json()
    assert (real["applied"], real["rows"][0]["code"]) == (True, f"{VILLAGE}-01")
    made = (await cast.ana.get(f"/sites/{VILLAGE}-01")).json()
    assert (made["host"], made["provider"], made["state"]) == ("198.51.100.20", "telkom-wms", "unknown")
    again = (await upload(cast.ana, file)).json()
    assert (again["applied"], again["counts"]["same"]) == (True, 1)
    assert (await cast.ana.get(f"/sites/{VILLAGE}-01")).json()["version"] == made["version"]
    entries = list(await session.scalars(select(Audit).order_by(Audit.id)))
    assert [(entry.action, entry.object, entry.source, entry.actor) for entry in entries] == [
        ("create", "site", "import", "token ana"),
        ("import", "file", "import", "token ana"),
    ]
    assert (entries[1].after or {})["sha256"] == hashlib.sha256(file.encode()).hexdigest()
    assert (entries[1].after or {})["rows"]["create"] == 1


async def test_all_or_nothing_unless_partial(cast: Cast) -> None:
    file = f"{HEADER}\n{MUARA}\n64.02.05.9999;kabel;telkom;icmp;10.0.0.1\n"
    refused = await upload(cast.ana, file, INDONESIAN)
    assert refused.status_code == 422
    problem = refused.json()
    assert {(fault["row"], fault["field"], fault["code"]) for fault in problem["errors"]} == {
        (3, "village_code", "unknown_village"),
        (3, "technology", "enum"),
        (3, "provider", "unknown_provider"),
        (3, "host", "forbidden_host"),
    }
    assert "tidak termasuk pilihan" in next(fault["message"] for fault in problem["errors"] if fault["code"] == "enum")
    assert problem["counts"] == {"create": 1, "update": 0, "same": 0, "error": 1, "warning": 0}
    assert (await cast.ana.get("/sites")).json()["items"] == []
    partly = await upload(cast.ana, file, partial=True)
    assert (partly.status_code, partly.json()["applied"]) == (200, True)
    assert len((await cast.ana.get("/sites")).json()["items"]) == 1


async def test_a_blank_cell_changes_nothing(cast: Cast) -> None:
    made = await register(cast, ssid="Desa", service_no="4700")
    header = "Kode titik akses;SSID;Nomor layanan (SID);Catatan"
    row, same = await dry_run(cast.ana, header, f"{made['code']};;-;baru", f"{made['code']};;-;baru")
    assert (row["verdict"], row["changes"]) == ("update", {"notes": {"before": None, "after": "baru"}})
    assert (row["site_id"], same["verdict"], same["warnings"][0]["code"]) == (made["id"], "same", "repeated_row")


async def test_a_row_is_matched_by_code_else_by_service_number_else_by_provider_where_that_is_one_site(
    cast: Cast,
) -> None:
    first = await register(cast, service_no="4700-1")
    second = await register(cast, host="198.51.100.21", service_no="4700-2")
    lone = await register(cast, host="198.51.100.22", provider="iconplus")
    header = "Kode titik akses;Kode desa;Teknologi;Penyedia;SID;Cara ukur;IP;Catatan"

    async def row(code: str, provider: str, service_no: str, host: str = "") -> dict[str, Any]:
        line = f"{code};{VILLAGE};fiber;{provider};{service_no};icmp;{host};x"
        return (await dry_run(cast.ana, header, line))[0]

    assert (await row(second["code"], "", ""))["code"] == second["code"]
    assert (await row("", "telkom-wms", "4700-1"))["code"] == first["code"]
    assert (await row("", "Icon+", ""))["code"] == lone["code"]
    assert (await row("", "Icon+", "99"))["changes"]["service_no"] == {"before": None, "after": "99"}
    new = await row("", "telkom-wms", "4700-3", "198.51.100.30")
    assert (new["verdict"], new["code"]) == ("create", None)
    either = await row("", "telkom-wms", "")
    assert fault_codes(either) == {"code": "ambiguous_site"}
    assert all(site["code"] in either["errors"][0]["suggestion"] for site in (first, second))
    assert fault_codes(await row("64.02.05.2003-77", "telkom-wms", "")) == {"code": "unknown_site"}


async def test_a_row_that_may_be_a_second_access_point_replaces_the_first_only_by_its_code(cast: Cast) -> None:
    first = await register(cast, venue="kantor_desa", name="Kantor")
    header = "Kode titik akses;Kode desa;Teknologi;Penyedia;Cara ukur;IP;Tempat;Nama"

    async def row(
        technology: str, host: str, venue: str, name: str, *, code: str = "", sid: str = ""
    ) -> dict[str, Any]:
        line = f"{code};{VILLAGE};{technology};telkom-wms;icmp;{host};{venue};{name}"
        return (await dry_run(cast.ana, header, line, language="id"))[0]

    radio = await row("radio", "", "", "")
    assert fault_codes(radio) == {"code": "may_be_another_site"}
    (fault,) = radio["errors"]
    assert f"mengganti {first['code']} (serat optik, kantor desa, 198.51.100.20, Kantor)" in fault["message"]
    assert first["code"] in fault["suggestion"]
    assert "SID" in fault["suggestion"]
    for other in (("fo", "", "sekolah", ""), ("fo", "198.51.100.21", "", "SDN 3")):
        assert fault_codes(await row(*other)) == {"code": "may_be_another_site"}
    backup = f"{header};Peran jalur", f";{VILLAGE};fo;telkom-wms;icmp;198.51.100.21;;;cadangan"
    assert fault_codes((await dry_run(cast.ana, *backup))[0]) == {"code": "may_be_another_site"}
    for same in (("fo", "198.51.100.21", "kantor desa", ""), ("fo", "", "", "Kantor Desa")):
        assert (await row(*same))["verdict"] == "update"
    assert (await row("radio", "", "", "", code=first["code"]))["verdict"] == "update"


async def test_a_name_of_two_providers_is_ambiguous(cast: Cast, session: AsyncSession) -> None:
    async with session.begin():  # of before such names were refused
        await providers.ensure_providers(session, {"satu": "Mega Net", "dua": "MEGA-NET", "tiga": "satu"})

    async def row(provider: str) -> dict[str, Any]:
        return (await dry_run(cast.ana, HEADER, MUARA.replace("Telkom WMS", provider)))[0]

    for name, candidates in (("Mega Net", ("satu", "dua")), ("satu", ("satu", "tiga"))):
        (fault,) = (await row(name))["errors"]
        assert fault["code"] == "ambiguous_provider"
        assert all(f"{slug} (" in fault["suggestion"] for slug in candidates)
    assert [(await row(slug))["changes"]["provider"]["after"] for slug in ("dua", "tiga")] == ["dua", "tiga"]
    (unknown,) = (await row("qqqq"))["errors"]
    assert all(slug in unknown["suggestion"] for slug in ("satu", "dua", "tiga", "telkom-wms"))


async def test_a_retired_site_is_changed_by_its_code_alone(cast: Cast) -> None:
    first = await register(cast)
    await cast.sari.client.delete(f"/api/v1/sites/{first['code']}")
    (new,) = await dry_run(cast.ana, HEADER, MUARA)
    assert new["verdict"] == "create"
    (same,) = await dry_run(cast.ana, "Kode titik akses;Catatan", f"{first['code']};x")
    assert (same["verdict"], same["code"]) == ("update", first["code"])


async def test_two_rows_of_one_site_that_contradict_each_other_name_each_other(cast: Cast) -> None:
    rows = await dry_run(cast.ana, HEADER, MUARA, MUARA.replace("100.20", "100.21"), MUARA)
    assert [row["verdict"] for row in rows] == ["error", "error", "error"]
    assert {row["errors"][0]["code"] for row in rows} == {"contradiction"}
    assert "3" in rows[0]["errors"][0]["message"]
    assert "2" in rows[1]["errors"][0]["message"]


async def test_rows_with_a_shared_address_and_with_one_in_use_are_errors(cast: Cast) -> None:
    await register(cast)
    header = HEADER + ";SID"
    lines = [f"64.02.05.200{n};fo;telkom wms;ping;198.51.100.{host};{n}" for n, host in ((4, 20), (5, 30), (6, 30))]
    rows = await dry_run(cast.ana, header, *lines)
    assert [fault_codes(row) for row in rows] == [{"host": "duplicate_address"}] * 3
    assert "4" in rows[1]["errors"][0]["message"]


async def test_a_village_is_found_by_its_name_within_the_callers_district(cast: Cast) -> None:
    header = "Desa;Kecamatan;Teknologi;ISP;Metode;IP"

    async def village(name: str, subdistrict: str = "", person: Person = cast.ana) -> Any:
        row = (await dry_run(person, header, f"{name};{subdistrict};fo;telkom wms;icmp;198.51.100.20"))[0]
        return fault_codes(row).get("village_code") or row["changes"]["village_code"]["after"]

    assert await village("Muara Badak Ulu") == VILLAGE
    assert await village("DESA MUARA-BADAK  ULU", "Kec. Muara Badak") == VILLAGE
    assert await village("Muara Badak Ulu", "Tenggarong") == "unknown_village_name"
    assert await village("Muara Badak Ulu", person=cast.ben) == "unknown_village_name"
    assert await village("Muara Badak Hulu") == "unknown_village_name"
    assert str(await village("Kota Bangun Ulu", "Kecamatan Kota Bangun")).startswith("64.02.")


async def test_a_row_outside_the_callers_region_is_an_error_of_that_row(cast: Cast) -> None:
    row = (await dry_run(cast.ben, HEADER, MUARA))[0]
    assert fault_codes(row) == {"village_code": "outside_scope"}
    made = await register(cast)
    stranger = (await dry_run(cast.ben, "Kode titik akses;SSID", f"{made['code']};x"))[0]
    assert fault_codes(stranger) == {"code": "unknown_site"}
    assert (await upload(cast.vera, f"{HEADER}\n{MUARA}")).status_code == 403
    assert (await upload(cast.stranger, f"{HEADER}\n{MUARA}")).status_code == 401


async def test_only_the_province_moves_a_site_across_districts(cast: Cast) -> None:
    made = await register(cast)
    file = f"Kode titik akses;Kode desa\n{made['code']};64.03.01.2001"
    assert fault_codes((await dry_run(cast.ana, file))[0]) == {"village_code": "outside_scope"}
    assert (await upload(cast.sari, file)).json()["counts"]["update"] == 1


async def test_a_parent_and_a_contract_are_named_by_code_and_number(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1")
    contract = await cast.sari.post(
        "/contracts",
        {
            "number": "027/KONTRAK/2026",
            "provider": "telkom-wms",
            "valid_from": "2026-01-01",
            "sla_target_pct": 99,
        },
    )
    assert contract.status_code == 201, contract.text
    header = HEADER + ";Simpul induk;No Kontrak"
    good, bad = await dry_run(
        cast.ana,
        header,
        f"{MUARA};{tower['code']};027/kontrak/2026",
        f"64.02.05.2004;fo;telkom wms;icmp;198.51.100.9;{VILLAGE}-09;028",
    )
    assert good["changes"]["parent_id"]["after"] == tower["id"]
    assert good["changes"]["contract_id"]["after"] == contract.json()["id"]
    assert fault_codes(bad) == {"parent_id": "unknown_parent", "contract_id": "unknown_contract"}


async def test_a_file_that_is_no_table_is_refused_with_a_suggestion(cast: Cast) -> None:
    for content, code in (
        (b"", "empty_file"),
        (b"  \n ", "empty_file"),
        (b"%PDF-1.7 \x00", "not_a_table"),
        (b"\x00\x01", "not_a_table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99, "old_workbook"),
        (b"PK\x03\x04 and nothing", "broken_workbook"),
        (b"a;b;c\n1;2;3", "no_header"),
        (HEADER.encode(), "no_rows"),
        (b"<html><table>", "not_a_table"),
    ):
        answer = await upload(cast.ana, content)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), content[:20]
        assert answer.json()["errors"][0]["suggestion"]


async def test_a_missing_column_is_reported_once_with_both_names(cast: Cast) -> None:
    answer = await upload(
        cast.ana, f"Desa;Teknologi;Penyedia\n{'Muara Badak Ulu;fo;telkom' + chr(10)}" * 2, dry_run=True
    )
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["code"], fault["row"]) == (422, "probe", "missing_column", 1)
    assert "Cara ukur (probe)" in fault["message"]
    twice = await upload(cast.ana, "Desa;Nama Desa;Teknologi;Penyedia;Cara ukur\na;b;c;d;e", dry_run=True)
    assert [(fault["field"], fault["code"]) for fault in twice.json()["errors"]] == [("village", "column_twice")]


async def test_an_unknown_column_is_ignored_and_reported(cast: Cast) -> None:
    answer = (await upload(cast.ana, f"{HEADER};Bandwidht;Hasil\n{MUARA};1;salah", dry_run=True)).json()
    assert answer["columns"]["recognised"]["host"] == "Alamat IP atau host"
    (ignored,) = answer["columns"]["ignored"]
    assert (ignored["code"], "bandwidth_down_mbps" in ignored["suggestion"]) == ("unknown_column", True)
    assert answer["counts"]["create"] == 1


async def test_a_file_comes_as_a_form_too_and_a_large_one_is_refused(cast: Cast) -> None:
    url = "/api/v1/sites/import"
    files = {"file": ("kukar.csv", f"{HEADER}\n{MUARA}".encode(), "text/csv")}
    assert (await cast.ana.client.post(url, files=files)).json()["counts"]["create"] == 1
    assert (await cast.ana.client.post(url, files={"other": b"x"})).json()["errors"][0]["code"] == "missing"
    assert (await upload(cast.ana, b"x;" * 2_000_000)).status_code == 422

    async def chunks() -> Any:
        for _ in range(25):
            yield b";" * 1_000_000

    answer = await cast.ana.client.post(url, content=chunks(), headers={"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-large")
    announced = {"Content-Type": "text/csv", "Content-Length": "200000000"}
    answer = await cast.ana.client.post(url, content=chunks(), headers=announced)
    assert answer.status_code == 413


async def test_the_same_idempotency_key_imports_once(cast: Cast) -> None:
    key = {"Idempotency-Key": "impor-1"}
    first = await upload(cast.ana, f"{HEADER}\n{MUARA}", key)
    await cast.ana.patch(f"/sites/{VILLAGE}-01", {"host": "198.51.100.99"})
    again = await upload(cast.ana, f"{HEADER}\n{MUARA}", key)
    assert (first.status_code, again.status_code, again.json()["applied"]) == (200, 200, True)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await cast.ana.get(f"/sites/{VILLAGE}-01")).json()["host"] == "198.51.100.99"
    assert (await upload(cast.ana, f"{HEADER}\n", key)).status_code == 422
    other = await upload(cast.ana, f"{HEADER}\n{MUARA.replace('100.20', '100.21')}", key)
    assert other.json()["errors"][0]["code"] == "key_reused"


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


async def test_two_rows_may_swap_their_addresses(cast: Cast) -> None:
    made = [await register(cast, host=f"198.51.100.{n}", service_no=str(n)) for n in (1, 2)]
    file = f"code;host\n{made[0]['code']};198.51.100.2\n{made[1]['code']};198.51.100.1"
    assert (await upload(cast.ana, file)).json()["counts"]["update"] == 2
    assert (await cast.ana.get(f"/sites/{made[0]['code']}")).json()["host"] == "198.51.100.2"


async def test_unchanged_fields_are_not_validated(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1", village_code="64.03.01.2001")
    made = await register(cast, parent_id=tower["id"], notes="satu\ndua")
    header = "code;parent;village_code;host;notes"
    row = f"{made['code']};{tower['code']};{VILLAGE};{made['host']}"
    (same,) = await dry_run(cast.ana, header, f'{row};"satu\ndua"')
    (changed,) = await dry_run(cast.ana, header, f"{row};baru")
    assert (same["verdict"], changed["verdict"], list(changed["changes"])) == ("same", "update", ["notes"])
    other = await register(cast, host="198.51.100.21")
    moved = (await dry_run(cast.ana, header, f"{other['code']};{tower['code']};;;"))[0]
    assert fault_codes(moved) == {"parent_id": "unknown_parent"}


async def test_a_name_beside_a_code_that_is_another_villages_is_an_error_another_spelling_a_warning(cast: Cast) -> None:
    header = f"Desa;Kecamatan;Kabupaten;{HEADER}"

    async def fault_and_warning_codes(names: str, code: str = VILLAGE) -> tuple[list[str], list[str]]:
        row = (await dry_run(cast.sari, header, f"{names};{MUARA.replace(VILLAGE, code)}"))[0]
        return [fault["code"] for fault in row["errors"]], [fault["code"] for fault in row["warnings"]]

    assert await fault_and_warning_codes("Desa Muara Badak Ulu;Kec. Muara Badak;Kab. Kutai Kartanegara") == ([], [])
    assert await fault_and_warning_codes("Kampung Merapun;;", "64.03.01.2003") == ([], [])
    assert await fault_and_warning_codes("Sepinggan;;", "64.03.01.2003") == (["other_name"], [])
    assert await fault_and_warning_codes("Antah Berantah;;") == (["other_name"], [])
    for spelling in ("Muara Badak Hulu", "Ma. Badak Hulu", "Badak Ulu", "Muara Badak Ulu (RT 3)"):
        assert await fault_and_warning_codes(f"{spelling};;") == ([], ["other_name"]), spelling
    assert await fault_and_warning_codes(";;Berau") == ([], ["other_name"])


async def test_text_that_the_database_cannot_store_is_a_fault_or_removed_never_a_failure(cast: Cast) -> None:
    header = f"Kode titik akses;{HEADER};Catatan;Desa"
    for cells in ("a\0b;;;;;;;", ";\0;\0;\0;\0;\0;\0;\0", f";{VILLAGE};fo;a\0;icmp;a\0b;x\0y;z\0"):
        answer = await upload(cast.ana, f"{header}\n{cells}\n{MUARA}".encode("utf-16"), dry_run=True)
        assert answer.status_code == 200, answer.text
    form = {"file": ("a\0b.csv", f"{HEADER}\n{MUARA}".encode(), "text/csv")}
    assert (await cast.ana.client.post("/api/v1/sites/import", files=form)).status_code == 200


async def test_a_report_overwrites_no_cell(cast: Cast) -> None:
    book = openpyxl.Workbook()
    page: Any = book.active
    page.append(HEADER.split(";"))
    page.append([*MUARA.split(";"), None, "tanpa judul"])
    data = saved(book)
    answer = await upload(cast.ana, data, dry_run=True, format="xlsx")
    back = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [back["G2"].value, back["H1"].value, back["H2"].value] == ["tanpa judul", "Result", "create"]


async def test_an_unknown_village_is_explained_once_and_not_again_under_the_lock(cast: Cast) -> None:
    """To find what was meant takes a millisecond or two, and thousands of rows may be wrong."""
    regions.explain_unknown_village.cache_clear()
    (row,) = await dry_run(cast.ana, HEADER, MUARA.replace(VILLAGE, "64.02.05.9999"))
    assert fault_codes(row) == {"village_code": "unknown_village"}
    cache = regions.explain_unknown_village.cache_info()
    assert (cache.hits, cache.misses) == (0, 1)


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
        assert "Lembar Rekap" in str(back["Peringatan impor"]["A1"].value)
        data = answer.content


async def test_an_error_shows_the_cell_s_column_header_and_text(cast: Cast) -> None:
    header = "No;Desa;Kode Wilayah;Media Akses;ISP;Cara ukur;IP/Host (contoh)"
    lines = (
        "1;Tenggarong;64.02.05.9999;fo;telkom wms;icmp;10.0.0.1",
        "2;Antah Berantah;;fo;telkom wms;icmp;",
        "3;Muara Badak Ulu;;fo;telkom wms;-;198.51.100.9",
    )
    code, name, probe = await dry_run(cast.ana, header, *lines)

    def cells(row: dict[str, Any]) -> dict[str, tuple[str, str, str | None]]:
        return {fault["field"]: (fault["column"], fault["header"], fault["value"]) for fault in row["errors"]}

    assert cells(code) == {
        "village_code": ("C", "Kode Wilayah", "64.02.05.9999"),
        "host": ("G", "IP/Host (contoh)", "10.0.0.1"),
    }
    assert cells(name) == {"village_code": ("B", "Desa", "Antah Berantah")}
    assert (cells(probe)["probe"][:2], probe["errors"][0]["value"]) == (("F", "Cara ukur"), None)


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


async def test_rows_with_warnings_are_counted(cast: Cast) -> None:
    result = (
        await upload(cast.ana, f"{HEADER}\n{MUARA}\n{MUARA.replace('serat optik', 'starlink')}", dry_run=True)
    ).json()
    assert result["counts"]["warning"] == sum(1 for row in result["rows"] if row["warnings"]) == 1


async def test_a_latitude_without_its_ls_is_an_error_and_a_position_far_from_the_village_a_warning(cast: Cast) -> None:
    header = f"{HEADER};Lintang;Bujur"

    async def row(latitude: str, longitude: str, language: str = "id") -> dict[str, Any]:
        return (await dry_run(cast.ana, header, f"{MUARA};{latitude};{longitude}", language=language))[0]

    for north in ("0 21 42", "0,3617"):
        (fault,) = (await row(north, "117 26 21"))["errors"]
        assert (fault["code"], fault["column"]) == ("other_hemisphere", "F")
        assert fault["suggestion"] == "Maksud Anda 0°21'42\" LS?"
    right, far = await row("0 21 42 LS", "117 26 21"), await row("-0,36", "116,4")
    assert (right["errors"], right["warnings"]) == ([], [])
    assert (far["verdict"], [fault["code"] for fault in far["warnings"]]) == ("create", ["far_from_village"])
    made = await register(cast, latitude=-0.36, longitude=116.4)
    (quiet,) = await dry_run(cast.ana, "Kode titik akses;Catatan", f"{made['code']};x")
    assert quiet["warnings"] == []


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


async def test_no_village_out_of_scope_is_suggested(cast: Cast) -> None:
    async def suggestion(person: Person, code: str) -> str:
        (fault,) = (await dry_run(person, HEADER, MUARA.replace(VILLAGE, code)))[0]["errors"]
        return str(fault["suggestion"])

    assert "64.03." in await suggestion(cast.sari, "64.03.01.2901")
    assert "64.03." not in await suggestion(cast.ana, "64.03.01.2901")
    assert "64.02." in await suggestion(cast.ana, "64.02.05.2903")
