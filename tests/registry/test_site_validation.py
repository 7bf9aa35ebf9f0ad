"""Validation of sites: every fault of a body, with a suggestion."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import register, site
from tests.support.delivering_probers import make_vantage


async def faults(cast: Cast, **changes: Any) -> dict[str, Any]:
    """Register a site; return the code of each fault, by field."""
    answer = await cast.sari.post("/sites", {k: v for k, v in site(**changes).items() if v != "absent"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {fault["field"]: fault["code"] for fault in answer.json()["errors"]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"village_code": "64.02.05.9999"}, {"village_code": "unknown_village"}),
        ({"village_code": "64.02"}, {"village_code": "not_a_village"}),
        ({"village_code": "6402052003"}, {"village_code": "code_without_dots"}),
        ({"village_code": "6403050003"}, {"village_code": "bps_code"}),
        ({"village_code": "64.03.050.003"}, {"village_code": "bps_code"}),
        ({"technology": "fibre"}, {"technology": "enum"}),
        ({"provider": "telkom_wms"}, {"provider": "unknown_provider"}),
        ({"host": "10.1.2.3"}, {"host": "forbidden_host"}),
        ({"host": "::ffff:10.0.0.1"}, {"host": "forbidden_host"}),
        ({"host": "2130706433"}, {"host": "bad_host"}),
        ({"host": "127.1"}, {"host": "bad_host"}),
        ({"host": "http://desa.example"}, {"host": "bad_host"}),
        ({"host": None}, {"host": "missing"}),
        ({"host_static": False}, {"host": "address_not_static"}),
        ({"latitude": 117.03, "longitude": -0.6}, {"latitude": "outside_kaltim"}),
        ({"latitude": -6.2, "longitude": 106.8}, {"latitude": "outside_kaltim"}),
        ({"latitude": -0.6}, {"longitude": "missing"}),
        ({"probe": "tcp"}, {"port": "missing"}),
        ({"probe": "http"}, {"url": "missing"}),
        ({"probe": "http", "url": "https://desa.example/"}, {"url": "other_host"}),
        ({"probe": "http", "url": "ftp://desa.example"}, {"url": "bad_url"}),
        (
            {"probe": "http", "host": "169.254.169.254", "url": "http://169.254.169.254/"},
            {"host": "forbidden_host", "url": "forbidden_host"},
        ),
        ({"speed_url": "http://desa.example/a\r\nX-Evil: 1"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http://desa.example/\u2028a"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http://desa.example/a b"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http://desa.example/#a"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http://@desa.example/"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http:\\\\desa.example/"}, {"speed_url": "bad_url"}),
        ({"speed_url": "http://[::1]/"}, {"speed_url": "forbidden_host"}),
        ({"port": 0}, {"port": "greater_than_equal"}),
        ({"name": "a\0b"}, {"name": "nul"}),
        ({"host": "a\0b"}, {"host": "nul"}),
        ({"name": "   "}, {"name": "string_too_short"}),
        ({"bandwidth_down_mbps": -1}, {"bandwidth_down_mbps": "greater_than"}),
        ({"parent_id": 99999}, {"parent_id": "unknown_parent"}),
        ({"contract_id": 5}, {"contract_id": "unknown_contract"}),
        ({"tecnology": "fiber"}, {"tecnology": "extra_forbidden"}),
        ({"technology": "absent", "provider": "absent"}, {"technology": "missing", "provider": "missing"}),
        (
            {"village_code": "1", "technology": "y", "host": "10.0.0.1", "provider": "x", "name": "a\0", "port": "b"},
            {
                "village_code": "unknown_village",
                "technology": "enum",
                "host": "forbidden_host",
                "provider": "unknown_provider",
                "name": "nul",
                "port": "int_parsing",
            },
        ),
        (
            {"village_code": "1", "host": "10.0.0.1", "provider": "x"},
            {"village_code": "unknown_village", "host": "forbidden_host", "provider": "unknown_provider"},
        ),
    ],
)
async def test_each_invalid_field_is_reported(cast: Cast, changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert await faults(cast, **changes) == expected
    assert (await cast.sari.get("/sites")).json()["items"] == []


async def test_suggestions_name_the_probable_value(cast: Cast) -> None:
    async def suggestion(**changes: Any) -> str:
        answer = await cast.sari.post("/sites", site(**changes))
        return str(answer.json()["errors"][0]["suggestion"])

    assert "64.02.05.2003" in await suggestion(village_code="6402052003")
    assert "64.02" in await suggestion(village_code="6403050003")
    assert "64.02.05.2003" in await suggestion(village_code="64.02.5.2003")
    assert "telkom-wms" in await suggestion(provider="telkom_wms")
    for field, word, expected in (
        ("technology", "lte", "cellular"),
        ("technology", "VSAT", "geo"),
        ("technology", "fo", "fiber"),
        ("technology", "fibre", "fiber"),
        ("probe", "ping", "icmp"),
        ("venue", "SD", "sekolah"),
        ("power_source", "PLTS", "solar"),
        ("technology", "x", "None"),
    ):
        assert await suggestion(**{field: word}) in {f"Did you mean {expected}?", expected}, word
    filtered = await cast.sari.get("/status?technology=starlink")
    assert filtered.json()["errors"][0]["suggestion"] == "Did you mean leo?"
    for host in ("10.0.0.1", "localhost"):
        assert "leave it out" in await suggestion(probe="push", host=host)
    assert "public address" in await suggestion(host="10.0.0.1")
    assert "fiber" in await suggestion(technology="fibre")
    assert "technology" in await suggestion(tecnology="fiber")
    assert "swapped" in await suggestion(latitude=117.03, longitude=-0.6)


async def test_messages_are_translated_and_codes_are_not(cast: Cast) -> None:
    wrong = site(host=None)
    english = (await cast.sari.post("/sites", wrong)).json()["errors"][0]
    headers = {"Accept-Language": "id-ID,id;q=0.9,en;q=0.8"}
    indonesian = (await cast.sari.post("/sites", wrong, headers=headers)).json()["errors"][0]
    assert english["code"] == indonesian["code"] == "missing"
    assert english["message"] != indonesian["message"]
    assert "host" in indonesian["message"].lower()


async def test_a_malformed_body_is_a_problem(cast: Cast) -> None:
    for body in (b"{", b"[]", b"", b'"x"', b"\xff\xfe", b"null", b"[" * 3000):
        answer = await cast.sari.client.post(
            "/api/v1/sites", content=body, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, body
        assert answer.headers["content-type"] == "application/problem+json"


async def test_one_host_has_one_spelling(cast: Cast) -> None:
    for first, *others in (
        ("Desa.example.ID.", "desa.example.id", "DESA.example.id"),
        ("2001:DB8:0::20", "2001:db8::20"),
        ("::ffff:198.51.100.44", "198.51.100.44"),
    ):
        await register(cast, host=first)
        for other in others:
            assert (await cast.sari.post("/sites", site(host=other))).status_code == 409, other
            assert (await cast.sari.post("/sites", site(host=other, port=7))).status_code == 409, other


async def test_a_ping_to_a_satellite_site_is_warned_about(cast: Cast) -> None:
    made = await register(cast, technology="leo")
    assert any("carrier NAT" in warning for warning in made["warnings"])


async def test_a_patch_reports_all_faults_at_once(cast: Cast) -> None:
    made = await register(cast)
    wrong = {"technology": None, "latitude": 117.0, "longitude": -0.4, "parent_id": 9999, "hots": "x"}
    answer = await cast.sari.patch(f"/sites/{made['id']}", wrong)
    assert {fault["field"] for fault in answer.json()["errors"]} >= {"latitude", "parent_id", "hots"}
    assert (await cast.sari.get(f"/sites/{made['id']}")).json()["version"] == made["version"]
    for body in (b"[]", b'"x"', b"null", b"7"):
        answer = await cast.sari.client.patch(f"/api/v1/sites/{made['id']}", content=body)
        assert answer.status_code == 422, body


@pytest.mark.parametrize("changes", [{}, {"probe": "push", "host": None, "kind": "node"}], ids=["pinged", "node"])
async def test_what_others_look_for_is_there_always(cast: Cast, changes: dict[str, Any]) -> None:
    assert await faults(cast, presence="sometimes", **changes) == {"presence": "presence_needs_reports"}


@pytest.mark.parametrize(
    ("vantages", "code"),
    [
        *(([], "too_short"), ([9], "less_than_equal"), ([-1], "greater_than_equal"), ([0, 0], "repeated")),
        *(([*range(9), 0], "too_long"), ("0", "list_type"), ([0.5], "int_from_float")),
    ],
    ids=str,
)
async def test_a_site_is_looked_at_from_known_places_each_once(cast: Cast, vantages: Any, code: str) -> None:
    found = await faults(cast, vantages=vantages)
    assert [(field.split(".")[0], given) for field, given in found.items()] == [("vantages", code)]


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (["TELKOM", "central"], [2, 0]),
        (["jaringan telkom; Pusat"], [2, 0]),
        (["2", "pusat"], [2, 0]),
        (["pusat dan telkom"], [0, 2]),
    ],
    ids=str,
)
async def test_vantages_are_named_in_any_case_by_name_label_or_number(
    cast: Cast, given: list[str], numbers: list[int]
) -> None:
    await make_vantage(cast, 2)
    created = await cast.sari.post("/sites", site(vantages=given))
    assert (created.status_code, created.json().get("vantages")) == (201, numbers)


async def test_an_unknown_name_of_a_vantage_is_told_with_the_known_ones(cast: Cast) -> None:
    await make_vantage(cast, 2)
    (fault,) = (await cast.sari.post("/sites", site(vantages=["pusat; Telkomsel"]))).json()["errors"]
    assert (fault["field"], fault["message"]) == ("vantages", "There is no vantage Telkomsel")
    assert fault["suggestion"] == "Known vantages: 0 central (Pusat), 2 telkom (Jaringan telkom)"
    assert await faults(cast, vantages=["telkom", "2"]) == {"vantages": "repeated"}
    assert await faults(cast, vantages=["x" * 501]) == {"vantages.0": "string_too_long"}


async def test_from_where_a_site_is_looked_at_is_dated_and_audited(cast: Cast, session: AsyncSession) -> None:
    created = (await cast.sari.post("/sites", site())).json()
    assert created["vantages"] == [0]
    await session.execute(text("UPDATE site_configuration SET started_at = started_at - interval '1 hour'"))
    refused = await cast.ana.patch(f"/sites/{created['id']}", {"vantages": [2, 0]})
    assert [fault["code"] for fault in refused.json()["errors"]] == ["unknown_vantage"]
    await make_vantage(cast, 2)
    changed = (await cast.ana.patch(f"/sites/{created['id']}", {"vantages": [2, 0]})).json()
    assert changed["vantages"] == [2, 0]
    dated = await session.scalars(text("SELECT vantages FROM site_configuration ORDER BY started_at"))
    assert list(dated) == [[0], [2, 0]]
    entries = (await cast.sari.get("/audit?object=site")).json()["items"]
    assert any((entry["after"] or {}).get("vantages") == [2, 0] for entry in entries)


async def test_neither_its_provider_nor_a_reader_may_declare_a_site_present_at_times(cast: Cast) -> None:
    created = (await cast.sari.post("/sites", site(probe="push", host=None, provider="iconplus"))).json()
    path = f"/sites/{created['id']}"
    assert created["presence"] == "always"
    for person in (cast.vera, cast.icon):
        assert (await person.patch(path, {"presence": "sometimes"})).status_code == 403
    answer = await cast.ana.patch(path, {"presence": "kadang-kadang"})
    assert answer.json()["errors"][0]["suggestion"] == "Did you mean sometimes?"
    changed = (await cast.ana.patch(path, {"presence": "sometimes"})).json()
    assert changed["presence"] == "sometimes"
    assert any("public hours" in warning for warning in changed["warnings"])
    changed = (await cast.ana.patch(path, {"public_hours": "Pukul 08.00-16.00"})).json()
    assert changed["warnings"] == []
    entries = (await cast.sari.get("/audit?object=site")).json()["items"]
    assert any((entry["after"] or {}).get("presence") == "sometimes" for entry in entries)
