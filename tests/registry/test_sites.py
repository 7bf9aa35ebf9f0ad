from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.web.pagination import cursor_codec
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE, register, site


async def faults(cast: Cast, **changes: Any) -> dict[str, Any]:
    """Register a site; return the code of each fault, by field."""
    answer = await cast.sari.post("/sites", {k: v for k, v in site(**changes).items() if v != "absent"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {fault["field"]: fault["code"] for fault in answer.json()["errors"]}


async def test_a_registered_site_takes_its_villages_name_and_a_code_that_counts_on(cast: Cast) -> None:
    first = await register(cast)
    second = await register(cast, host="198.51.100.21")
    assert (first["code"], second["code"]) == (f"{VILLAGE}-01", f"{VILLAGE}-02")
    assert first["name"] == first["village"]
    assert first["district"] == "Kabupaten Kutai Kartanegara"
    assert (first["lifecycle"], first["kind"], first["link_role"]) == ("active", "access_point", "primary")
    assert (first["state"], first["last_seen_at"]) == ("unknown", None)


async def test_a_site_is_found_by_id_and_by_code(cast: Cast) -> None:
    made = await register(cast)
    by_id = (await cast.sari.get(f"/sites/{made['id']}")).json()
    by_code = (await cast.sari.get(f"/sites/{made['code']}")).json()
    assert by_id == by_code == made


@pytest.mark.parametrize("ident", ["0", "999999", "99999999999999999999", "64.02.05.2003-77", "nonsense", "-1"])
async def test_an_unknown_site_is_not_found(cast: Cast, ident: str) -> None:
    assert (await cast.sari.get(f"/sites/{ident}")).status_code == 404


async def test_a_nul_in_a_parameter_is_refused(cast: Cast) -> None:
    for path in ("/sites/1%00", "/sites?q=%00", "/regions?parent=64%00", "/status?region=%00"):
        answer = await cast.sari.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "nul")


async def test_nobody_reads_or_writes_out_of_scope(cast: Cast) -> None:
    made = await register(cast)
    assert (await cast.ana.get(f"/sites/{made['id']}")).status_code == 200
    for answer in (
        await cast.ben.get(f"/sites/{made['id']}"),
        await cast.ben.patch(f"/sites/{made['id']}", {"name": "x"}),
        await cast.ben.delete(f"/sites/{made['id']}"),
        await cast.ben.get(f"/sites/{made['id']}/uptime"),
        await cast.ben.get(f"/sites/{made['id']}/latency"),
        await cast.ben.get(f"/sites/{made['id']}/segments"),
        await cast.ben.get(f"/sites/{made['id']}/measurements"),
    ):
        assert answer.status_code == 404
    assert (await cast.ben.get("/sites")).json()["items"] == []
    assert (await cast.ben.get("/sites", params={"region": "64.02"})).status_code == 403
    assert (await cast.ben.post("/sites", site(host="198.51.100.99"))).status_code == 403
    assert (await cast.ben.post("/sites", site(host="198.51.100.99", village_code=BERAU_VILLAGE))).status_code == 201


async def test_a_viewer_reads_and_never_sees_a_contact_person(cast: Cast) -> None:
    made = await register(cast, contact_name="Ibu Rina", contact_phone="0812-0000-0000")
    seen = (await cast.vera.get(f"/sites/{made['id']}")).json()
    assert (seen["contact_name"], seen["contact_phone"]) == (None, None)
    assert (await cast.ana.get(f"/sites/{made['id']}")).json()["contact_name"] == "Ibu Rina"
    assert (await cast.vera.post("/sites", site(host="198.51.100.98"))).status_code == 403
    assert (await cast.vera.patch(f"/sites/{made['id']}", {"name": "x"})).status_code == 403
    assert (await cast.vera.delete(f"/sites/{made['id']}")).status_code == 403


async def test_a_provider_sees_its_own_sites_only(cast: Cast) -> None:
    await register(cast)
    own = await register(cast, host="198.51.100.21", provider="iconplus")
    assert [item["id"] for item in (await cast.icon.get("/sites")).json()["items"]] == [own["id"]]


async def test_requests_without_a_valid_token_are_refused(cast: Cast) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic abc"}, {"Authorization": ""}):
        answer = await cast.stranger.get("/sites", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"].endswith("/not-signed-in")


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
    for field, text, expected in (
        ("technology", "lte", "cellular"),
        ("technology", "VSAT", "geo"),
        ("technology", "fo", "fiber"),
        ("technology", "fibre", "fiber"),
        ("probe", "ping", "icmp"),
        ("venue", "SD", "sekolah"),
        ("power_source", "PLTS", "solar"),
        ("technology", "x", "None"),
    ):
        assert await suggestion(**{field: text}) in {f"Did you mean {expected}?", expected}, text
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


async def test_an_address_belongs_to_one_active_site(cast: Cast) -> None:
    made = await register(cast)
    again = await cast.sari.post("/sites", site(village_code=BERAU_VILLAGE))
    assert again.status_code == 409
    assert again.json()["errors"][0]["field"] == "host"
    await register(cast, village_code=BERAU_VILLAGE, lifecycle="planned")
    await register(cast, probe="tcp", port=80)
    await register(cast, probe="tcp", port=443)
    assert (await cast.sari.delete(f"/sites/{made['id']}")).status_code == 204
    await register(cast)


async def test_a_malformed_body_is_a_problem(cast: Cast) -> None:
    for body in (b"{", b"[]", b"", b'"x"', b"\xff\xfe", b"null", b"[" * 3000):
        answer = await cast.sari.client.post(
            "/api/v1/sites", content=body, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, body
        assert answer.headers["content-type"] == "application/problem+json"


async def test_only_the_given_fields_change_and_a_stale_version_is_refused(cast: Cast) -> None:
    made = await register(cast, ssid="Desa")
    url = f"/sites/{made['id']}"
    changed = (await cast.ana.patch(url, {"name": "Balai Desa"}, headers={"If-Match": str(made["version"])})).json()
    assert (changed["name"], changed["ssid"], changed["host"]) == ("Balai Desa", "Desa", made["host"])
    stale = await cast.ana.patch(url, {"ssid": "x"}, headers={"If-Match": f'"{made["version"]}"'})
    assert stale.status_code == 412
    assert stale.json()["your_version"] == made["version"]
    assert stale.json()["current_version"] == changed["version"]
    emptied = (await cast.ana.patch(url, {"ssid": None})).json()
    assert emptied["ssid"] is None
    assert (await cast.ana.patch(url, {"technology": None})).json()["errors"][0]["code"] == "null"
    assert (await cast.ana.patch(url, {"host": None})).json()["errors"][0]["field"] == "host"


async def test_a_site_moves_within_its_district_and_keeps_its_code_across_districts_it_is_the_provinces_to_move(
    cast: Cast,
) -> None:
    made = await register(cast)
    url = f"/sites/{made['id']}"
    moved = await cast.ana.patch(url, {"village_code": "64.02.05.2004"})
    assert (moved.status_code, moved.json()["village_code"], moved.json()["code"]) == (
        200,
        "64.02.05.2004",
        made["code"],
    )
    assert (await cast.ana.patch(url, {"village_code": BERAU_VILLAGE})).status_code == 403
    assert (await cast.ben.patch(url, {"village_code": BERAU_VILLAGE})).status_code == 404
    assert (await cast.sari.patch(url, {"village_code": BERAU_VILLAGE})).json()["district"] == "Kabupaten Berau"
    assert (await cast.ana.get(url)).status_code == 404
    again = await register(cast, host="198.51.100.99")  # codes are never reused
    assert (made["code"], again["code"]) == ("64.02.05.2003-01", "64.02.05.2003-02")


async def test_a_move_between_districts_is_audited_in_both(cast: Cast) -> None:
    made = await register(cast)
    imported = await cast.sari.post(
        "/sites/import",
        content=f"code,village_code\n{made['code']},{BERAU_VILLAGE}\n",
        headers={"Content-Type": "text/csv"},
    )
    assert imported.json()["applied"], imported.text
    back = await cast.sari.patch(f"/sites/{made['id']}", {"village_code": VILLAGE})
    assert back.status_code == 200

    async def audited(region: str) -> list[tuple[str, str]]:
        entries = (await cast.sari.get("/audit", params={"object": "site", "region": region})).json()["items"]
        return [(entry["action"], entry["after"]["village_code"]) for entry in reversed(entries)]

    assert await audited("64.02") == [("create", VILLAGE), ("move_away", BERAU_VILLAGE), ("change", VILLAGE)]
    assert await audited("64.03") == [("change", BERAU_VILLAGE), ("move_away", VILLAGE)]


async def test_retiring_twice_is_retiring_once(cast: Cast) -> None:
    made = await register(cast)
    assert (await cast.ana.delete(f"/sites/{made['id']}")).status_code == 204
    version = (await cast.ana.get(f"/sites/{made['id']}")).json()["version"]
    assert (await cast.ana.delete(f"/sites/{made['id']}")).status_code == 204
    retired = (await cast.ana.get(f"/sites/{made['id']}")).json()
    assert (retired["lifecycle"], retired["version"]) == ("retired", version)


async def test_the_same_idempotency_key_makes_one_site(cast: Cast) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await cast.ana.post("/sites", site(), headers=headers)
    again = await cast.ana.post("/sites", site(), headers=headers)
    other = await cast.ana.post("/sites", site(host="198.51.100.77"), headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json()["id"] == again.json()["id"]


async def test_pages_follow_each_other_without_gap_or_repeat(cast: Cast) -> None:
    made = [(await register(cast, host=f"198.51.100.{n}"))["id"] for n in range(1, 8)]
    seen, cursor = [], None
    for _ in range(4):
        page = (await cast.sari.get("/sites", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (made, None)
    assert (await cast.sari.get("/sites", params={"cursor": "%%%"})).status_code == 422
    assert (await cast.sari.get("/sites", params={"limit": 1001})).status_code == 422


async def test_sites_are_filtered(cast: Cast) -> None:
    here = await register(cast, name="Kantor 50%_x")
    there = await register(cast, village_code=BERAU_VILLAGE, host="198.51.100.9", technology="geo", provider="iconplus")

    async def ids(**params: str) -> list[int]:
        answer = await cast.sari.get("/sites", params=params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await ids(region="64.02") == await ids(provider="telkom-wms") == [here["id"]]
    assert await ids(technology="geo") == await ids(region="64.03.01.2001") == [there["id"]]
    assert await ids(q="50%_") == await ids(q="100.20") == await ids(q=here["code"]) == [here["id"]]
    assert await ids(state="unknown") == [here["id"], there["id"]]
    assert await ids(state="up") == await ids(lifecycle="planned") == []
    assert (await cast.sari.get("/sites", params={"state": "gone"})).json()["errors"][0]["field"] == "state"


async def test_a_ping_to_a_satellite_site_is_warned_about(cast: Cast) -> None:
    made = await register(cast, technology="leo")
    assert any("carrier NAT" in warning for warning in made["warnings"])


async def test_a_parent_is_a_node_and_never_a_descendant(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1")
    child = await register(cast, kind="node", host="198.51.100.2", parent_id=tower["id"])
    cycle = await cast.sari.patch(f"/sites/{tower['id']}", {"parent_id": child["id"]})
    assert cycle.json()["errors"][0]["code"] == "cycle"
    site_as_parent = await register(cast)
    refused = await cast.sari.post("/sites", site(host="198.51.100.3", parent_id=site_as_parent["id"]))
    assert refused.json()["errors"][0]["code"] == "unknown_parent"


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


async def test_a_child_can_be_edited_though_its_parent_is_out_of_scope_or_retired(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1", village_code=BERAU_VILLAGE)
    child = await register(cast, parent_id=tower["id"])
    assert (await cast.ana.patch(f"/sites/{child['id']}", {"notes": "baru"})).status_code == 200
    await cast.sari.delete(f"/sites/{tower['id']}")
    assert (await cast.sari.patch(f"/sites/{child['id']}", {"notes": "lama"})).status_code == 200
    assert (await cast.ana.patch(f"/sites/{child['id']}", {"parent_id": tower["id"]})).status_code == 422


@pytest.mark.parametrize("inside", ["\0", "99999999999", "-1", "0", "x", "0001-01-01T00:00:00+23:00~central", "a~b~c"])
async def test_an_invalid_cursor_is_refused(cast: Cast, inside: str) -> None:
    made = await register(cast)
    paths = ["/sites", "/providers", f"/sites/{made['id']}/segments", f"/sites/{made['id']}/measurements"]
    for path in paths + (["/regions"] if inside == "\0" else []):
        answer = await cast.sari.get(path, params={"cursor": cursor_codec(str).write(inside)})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor"), path


@pytest.mark.parametrize("version", ["9" * 30, "9" * 5000, "x", "-1", '"', "1.5"])
async def test_an_invalid_version_is_refused(cast: Cast, version: str) -> None:
    made = await register(cast)
    answer = await cast.sari.patch(f"/sites/{made['id']}", {"name": "x"}, headers={"If-Match": version})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "If-Match")


async def test_a_change_to_a_taken_address_is_a_conflict_too(cast: Cast) -> None:
    first, second = await register(cast), await register(cast, host="198.51.100.21")
    moved = await cast.sari.patch(f"/sites/{second['id']}", {"host": first["host"]})
    assert (moved.status_code, moved.json()["errors"][0]["code"]) == (409, "duplicate_address")
    await cast.sari.delete(f"/sites/{first['id']}")
    await register(cast, host=first["host"])
    again = await cast.sari.patch(f"/sites/{first['id']}", {"lifecycle": "active"})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "host")


async def test_a_patch_that_changes_nothing_makes_no_version(cast: Cast) -> None:
    made = await register(cast)
    for nothing in ({}, {"name": made["name"]}):
        assert (await cast.sari.patch(f"/sites/{made['id']}", nothing)).json()["version"] == made["version"]


async def test_a_parameter_that_does_not_exist_or_comes_twice_is_refused(cast: Cast) -> None:
    for path, code in (
        ("/status?tehnology=geo", "unknown_parameter"),
        ("/sites?state=up&state=down", "repeated"),
        ("/sites?region=6402", "unknown_region"),
        ("/status?region=", "unknown_region"),
    ):
        answer = await cast.sari.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), path
    assert "technology" in (await cast.sari.get("/status?tehnology=geo")).json()["errors"][0]["suggestion"]
    assert "64.02" in (await cast.sari.get("/sites?region=6402")).json()["errors"][0]["suggestion"]


async def test_a_large_body_is_refused_and_that_of_a_stranger_is_not_read(cast: Cast) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 50_000

    for content in (b" " * 2_000_000, chunks()):
        answer = await cast.sari.client.post("/api/v1/sites", content=content)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-large")
        assert answer.json()["detail"] == "At most 1 MB per request: split it into several"
    assert (await cast.stranger.client.post("/api/v1/sites", content=b"{")).status_code == 401


async def test_head_is_get_without_its_body(cast: Cast) -> None:
    answer = await cast.sari.client.head("/api/v1/sites")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_patch_reports_all_faults_at_once(cast: Cast) -> None:
    made = await register(cast)
    wrong = {"technology": None, "latitude": 117.0, "longitude": -0.4, "parent_id": 9999, "hots": "x"}
    answer = await cast.sari.patch(f"/sites/{made['id']}", wrong)
    assert {fault["field"] for fault in answer.json()["errors"]} >= {"latitude", "parent_id", "hots"}
    assert (await cast.sari.get(f"/sites/{made['id']}")).json()["version"] == made["version"]
    for body in (b"[]", b'"x"', b"null", b"7"):
        answer = await cast.sari.client.patch(f"/api/v1/sites/{made['id']}", content=body)
        assert answer.status_code == 422, body


async def test_a_node_with_children_stays_a_node(cast: Cast) -> None:
    node = await register(cast, kind="node")
    child = await register(cast, host="198.51.100.2", parent_id=node["id"])
    refused = await cast.sari.patch(f"/sites/{node['id']}", {"kind": "access_point"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "has_children")
    assert child["code"] in refused.json()["errors"][0]["message"]
    await cast.sari.patch(f"/sites/{child['id']}", {"parent_id": None})
    assert (await cast.sari.patch(f"/sites/{node['id']}", {"kind": "access_point"})).status_code == 200
