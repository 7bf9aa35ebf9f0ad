"""Import of a district's file over the API: dry run, writes, refusals and errors."""

import hashlib
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.imports import HEADER, MUARA, dry_run, fault_codes, upload

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


async def test_a_shared_address_is_told_at_once_also_by_rows_that_are_wrong_otherwise(cast: Cast) -> None:
    made = await register(cast)
    lines = (
        "64.02.05.2004;kabel;telkom wms;icmp;198.51.100.30;1",  # a technology of no known kind
        "64.02.05.2005;fo;telkom wms;icmp;198.51.100.30;2",
        "Antah;fo;telkom;icmp;198.51.100.20;3",
    )
    first, second, taken = await dry_run(cast.ana, f"{HEADER};SID", *lines)
    assert fault_codes(first) == {"technology": "enum", "host": "duplicate_address"}
    assert fault_codes(second) == {"host": "duplicate_address"}
    assert ["row 3" in first["errors"][1]["message"], "row 2" in second["errors"][0]["message"]] == [True, True]
    assert taken["errors"][-1]["code"] == "duplicate_address"
    assert f"{made['code']} (Muara Badak Ulu)" in taken["errors"][-1]["message"]


async def test_errors_that_rows_share_are_counted_with_what_to_do(cast: Cast) -> None:
    lines = (f"64.02.05.200{n};fo;{provider};icmp;198.51.100.{n}" for n, provider in enumerate("xyxx", 1))
    answer = (await upload(cast.ana, "\n".join((HEADER, *lines)), dry_run=True)).json()
    (common,) = answer["common_errors"]
    assert (common["value"], common["rows"], common["labels"]) == ("x", 3, ["2", "4", "5"])
    assert (common["code"], common["column"]) == ("unknown_provider", "C")
    assert common["suggestion"]


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
    answer = await upload(cast.ana, f"Desa;Teknologi;IP\n{'Muara Badak Ulu;fo;a.id' + chr(10)}" * 2, dry_run=True)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["code"], fault["row"]) == (422, "provider", "missing_column", 1)
    assert "Penyedia (provider)" in fault["message"]
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


async def test_text_that_the_database_cannot_store_is_a_fault_or_removed_never_a_failure(cast: Cast) -> None:
    header = f"Kode titik akses;{HEADER};Catatan;Desa"
    for cells in ("a\0b;;;;;;;", ";\0;\0;\0;\0;\0;\0;\0", f";{VILLAGE};fo;a\0;icmp;a\0b;x\0y;z\0"):
        answer = await upload(cast.ana, f"{header}\n{cells}\n{MUARA}".encode("utf-16"), dry_run=True)
        assert answer.status_code == 200, answer.text
    form = {"file": ("a\0b.csv", f"{HEADER}\n{MUARA}".encode(), "text/csv")}
    assert (await cast.ana.client.post("/api/v1/sites/import", files=form)).status_code == 200


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
