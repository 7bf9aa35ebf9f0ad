"""Sites: registering, reading, changing, moving and retiring within a scope."""

import pytest

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE, register, site


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


async def test_a_parent_is_a_node_and_never_a_descendant(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1")
    child = await register(cast, kind="node", host="198.51.100.2", parent_id=tower["id"])
    cycle = await cast.sari.patch(f"/sites/{tower['id']}", {"parent_id": child["id"]})
    assert cycle.json()["errors"][0]["code"] == "cycle"
    site_as_parent = await register(cast)
    refused = await cast.sari.post("/sites", site(host="198.51.100.3", parent_id=site_as_parent["id"]))
    assert refused.json()["errors"][0]["code"] == "unknown_parent"


async def test_a_child_can_be_edited_though_its_parent_is_out_of_scope_or_retired(cast: Cast) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1", village_code=BERAU_VILLAGE)
    child = await register(cast, parent_id=tower["id"])
    assert (await cast.ana.patch(f"/sites/{child['id']}", {"notes": "baru"})).status_code == 200
    await cast.sari.delete(f"/sites/{tower['id']}")
    assert (await cast.sari.patch(f"/sites/{child['id']}", {"notes": "lama"})).status_code == 200
    assert (await cast.ana.patch(f"/sites/{child['id']}", {"parent_id": tower["id"]})).status_code == 422


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


async def test_a_node_with_children_stays_a_node(cast: Cast) -> None:
    node = await register(cast, kind="node")
    child = await register(cast, host="198.51.100.2", parent_id=node["id"])
    refused = await cast.sari.patch(f"/sites/{node['id']}", {"kind": "access_point"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "has_children")
    assert child["code"] in refused.json()["errors"][0]["message"]
    await cast.sari.patch(f"/sites/{child['id']}", {"parent_id": None})
    assert (await cast.sari.patch(f"/sites/{node['id']}", {"kind": "access_point"})).status_code == 200
