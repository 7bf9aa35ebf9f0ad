"""Match rows to villages, providers, parents, contracts and registered sites."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.registry import providers, village_faults
from tests.conftest import Cast, Person
from tests.factories import VILLAGE, register
from tests.support.imports import HEADER, MUARA, dry_run, fault_codes, upload


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


async def test_a_provider_is_found_by_alias_and_a_name_that_is_only_like_one_is_asked(cast: Cast) -> None:
    await cast.sari.patch("/providers/telkom-wms", {"aliases": ["Indihome"]})

    async def row(provider: str) -> dict[str, Any]:
        return (await dry_run(cast.ana, HEADER, MUARA.replace("Telkom WMS", provider)))[0]

    for name in ("indihome", "Telkom-WMS", "PT. Telkom WMS, Tbk", "PT Indihome"):
        assert (await row(name))["changes"]["provider"]["after"] == "telkom-wms", name
    for name, near in (("Telkom", "telkom-wms"), ("PT Telkom Indonesia", "telkom-wms"), ("Icon Pluss", "iconplus")):
        (fault,) = (await row(name))["errors"]
        assert (fault["code"], near in fault["suggestion"]) == ("unknown_provider", True), name
        assert f"add {name} to its aliases" in fault["suggestion"]


async def test_a_retired_site_is_changed_by_its_code_alone(cast: Cast) -> None:
    first = await register(cast)
    await cast.sari.client.delete(f"/api/v1/sites/{first['code']}")
    (new,) = await dry_run(cast.ana, HEADER, MUARA)
    assert new["verdict"] == "create"
    (same,) = await dry_run(cast.ana, "Kode titik akses;Catatan", f"{first['code']};x")
    assert (same["verdict"], same["code"]) == ("update", first["code"])


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


async def test_a_name_beside_a_code_that_is_another_villages_is_an_error_another_spelling_a_warning(cast: Cast) -> None:
    header = f"Desa;Kecamatan;Kabupaten;{HEADER}"

    async def fault_and_warning_codes(names: str, code: str = VILLAGE) -> tuple[list[str], list[str]]:
        row = (await dry_run(cast.sari, header, f"{names};{MUARA.replace(VILLAGE, code)}"))[0]
        return [fault["code"] for fault in row["errors"]], [fault["code"] for fault in row["warnings"]]

    assert await fault_and_warning_codes("Desa Muara Badak Ulu;Kec. Muara Badak;Kab. Kutai Kartanegara") == ([], [])
    assert await fault_and_warning_codes("Kampung Merapun;;", "64.03.01.2003") == ([], [])
    assert await fault_and_warning_codes("Sepinggan;;", "64.03.01.2003") == (["other_name"], [])
    assert await fault_and_warning_codes("Antah Berantah;;") == (["other_name"], [])
    for spelling in ("Muara Badak Hulu", "Ma. Badak Hulu", "Badak Ulu"):
        assert await fault_and_warning_codes(f"{spelling};;") == ([], ["other_name"]), spelling
    assert await fault_and_warning_codes(";;Berau") == ([], ["other_name"])


async def test_an_unknown_village_is_explained_once_and_not_again_under_the_lock(cast: Cast) -> None:
    village_faults.unknown_village.cache_clear()
    (row,) = await dry_run(cast.ana, HEADER, MUARA.replace(VILLAGE, "64.02.05.9999"))
    assert fault_codes(row) == {"village_code": "unknown_village"}
    cache = village_faults.unknown_village.cache_info()
    assert (cache.hits, cache.misses) == (0, 1)


async def test_no_village_out_of_scope_is_suggested(cast: Cast) -> None:
    async def suggestion(person: Person, code: str) -> str:
        (fault,) = (await dry_run(person, HEADER, MUARA.replace(VILLAGE, code)))[0]["errors"]
        return str(fault["suggestion"])

    assert "64.03." in await suggestion(cast.sari, "64.03.01.2901")
    assert "64.03." not in await suggestion(cast.ana, "64.03.01.2901")
    assert "64.02." in await suggestion(cast.ana, "64.02.05.2903")
