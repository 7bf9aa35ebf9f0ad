"""A sheet that does not say how its sites are probed is read: by icmp with a host, by push without."""

from typing import Any

from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.imports import dry_run, fault_codes, upload, workbook_of

HEADER = "Kode desa;Teknologi;Penyedia;IP"
PINGED = f"{VILLAGE};fo;telkom wms;198.51.100.20"
REPORTING = "64.02.05.2004;starlink;telkom wms;"


def probes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["changes"]["probe"]["after"] for row in rows]


async def test_with_a_host_it_is_icmp_without_push_told_once_for_the_file(cast: Cast) -> None:
    answer = (
        await upload(cast.ana, f"{HEADER}\n{PINGED}\n{REPORTING}", {"Accept-Language": "id"}, dry_run=True)
    ).json()
    assert probes(answer["rows"]) == ["icmp", "push"]
    assert [row["warnings"] for row in answer["rows"]] == [[], []]
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["field"]) == ("assumed_probe", "probe")
    assert "1 icmp, 1 push" in warning["message"]
    assert "default_probe" in warning["suggestion"]


async def test_the_sheets_without_the_column_are_named_where_there_are_several(cast: Cast) -> None:
    said = [*HEADER.split(";"), "Cara ukur"], ["64.02.05.2005", "fo", "telkom wms", "198.51.100.21", "icmp"]
    data = workbook_of(Muara=[HEADER.split(";"), PINGED.split(";")], Kenohan=list(said))
    (warning,) = (await upload(cast.ana, data, dry_run=True)).json()["warnings"]
    assert warning["message"] == "There is no column Cara ukur (probe) (Muara); new sites: 1 icmp"


async def test_the_caller_may_choose_another_for_all_new_sites_and_the_choice_is_part_of_the_request(
    cast: Cast,
) -> None:
    file, key = f"{HEADER}\n{PINGED}\n{REPORTING}", {"Idempotency-Key": "impor-push"}
    assert probes((await upload(cast.ana, file, dry_run=True, default_probe="push")).json()["rows"]) == ["push", "push"]
    pinged = await dry_run(cast.ana, HEADER, REPORTING, default_probe="icmp")
    assert fault_codes(pinged[0]) == {"host": "missing"}
    assert (await upload(cast.ana, file, default_probe="ping")).status_code == 422
    assert (await upload(cast.ana, file, key, default_probe="push")).status_code == 200
    assert (await upload(cast.ana, file, key)).json()["errors"][0]["code"] == "key_reused"


async def test_the_same_sheet_again_changes_nothing_also_where_an_address_was_left_out(cast: Cast) -> None:
    file = f"{HEADER}\n{PINGED}\n{REPORTING}100.64.3.7"
    for counted in ("create", "same"):
        answer = await upload(cast.ana, file)
        assert (answer.status_code, answer.json()["counts"][counted]) == (200, 2)
    (cable,) = await dry_run(cast.ana, HEADER, "64.02.05.2005;fo;telkom wms;10.1.2.3", default_probe="push")
    assert (probes([cable]), [fault["code"] for fault in cable["warnings"]]) == (["push"], ["private_host"])


async def test_registered_sites_keep_their_probe_and_a_blank_cell_below_the_column_is_asked(cast: Cast) -> None:
    made = await register(cast, probe="push", host=None)
    (same,) = await dry_run(cast.ana, f"Kode titik akses;{HEADER}", f"{made['code']};;;;", default_probe="icmp")
    assert same["verdict"] == "same"
    (asked,) = await dry_run(cast.ana, f"{HEADER};Cara ukur", "64.02.05.2004;fo;telkom wms;198.51.100.21;")
    assert fault_codes(asked) == {"probe": "missing"}


async def test_behind_a_modem_a_private_address_is_no_host_elsewhere_it_is_an_error(cast: Cast) -> None:
    lines = (
        "64.02.05.2004;4g;telkom wms;100.64.3.7",
        "64.02.05.2005;starlink;telkom wms;192.168.1.10",
        "64.02.05.2006;fo;telkom wms;10.1.2.3",
        "64.02.05.2007;4g;telkom wms;198.51.100.20",
        "64.02.05.2008;starlink;telkom wms;dinamis",
    )
    modem, dish, cable, public, dynamic = await dry_run(cast.ana, HEADER, *lines)
    for row in (modem, dish):
        assert (probes([row]), [fault["code"] for fault in row["warnings"]]) == (["push"], ["private_host"])
        assert "host" not in row["changes"]
    assert fault_codes(cable) == {"host": "forbidden_host"}
    assert (probes([public]), [fault["code"] for fault in public["warnings"]]) == (["icmp"], ["behind_carrier_nat"])
    assert (probes([dynamic]), dynamic["warnings"]) == (["push"], [])
