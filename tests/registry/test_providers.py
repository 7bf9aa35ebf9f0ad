"""Providers: added and renamed by the province alone, under unique names, with an audit entry."""

from tests.conftest import Cast


async def test_providers_are_added_by_the_province_alone(cast: Cast) -> None:
    new = {"slug": "orbit", "name": "Orbit"}
    assert (await cast.ana.post("/providers", new)).status_code == 403
    assert (await cast.sari.post("/providers", new)).status_code == 201
    assert (await cast.sari.post("/providers", new)).status_code == 409
    slugs = [item["slug"] for item in (await cast.ana.get("/providers")).json()["items"]]
    assert set(slugs) == {"telkom-wms", "iconplus", "orbit"}
    assert [item["slug"] for item in (await cast.icon.get("/providers")).json()["items"]] == ["iconplus"]


async def test_two_providers_never_share_a_name_in_any_spelling(cast: Cast) -> None:
    """Telkom WMS (telkom-wms) and Icon+ (iconplus) are there."""
    for slug, name, wrong in (
        ("telkom", "TELKOM  wms", {"name"}),
        ("telkom", "Telkom-WMS.", {"name"}),
        ("orbit", "iconplus", {"name"}),
        ("telkom-wms", "Telkom", {"slug"}),
        ("icon", "Orbit", {"slug"}),
        ("icon", "telkom_wms", {"slug", "name"}),
    ):
        refused = await cast.sari.post("/providers", {"slug": slug, "name": name})
        assert (refused.status_code, {fault["field"] for fault in refused.json()["errors"]}) == (409, wrong), name
    assert "Telkom WMS (telkom-wms)" in refused.json()["errors"][1]["message"]
    for name in ("telkom wms", "Telkom-WMS"):
        assert (await cast.sari.patch("/providers/iconplus", {"name": name})).status_code == 409
    for name in ("ICON+", "Icon Plus", "iconplus"):
        assert (await cast.sari.patch("/providers/iconplus", {"name": name})).status_code == 200


async def test_a_provider_is_found_by_id_and_by_slug_and_sees_only_itself(cast: Cast) -> None:
    telkom = (await cast.ana.get("/providers/telkom-wms")).json()
    assert telkom["name"] == "Telkom WMS"
    assert (await cast.ana.get(f"/providers/{telkom['id']}")).json() == telkom
    assert (await cast.icon.get("/providers/iconplus")).status_code == 200
    for ident in ("telkom-wms", telkom["id"]):
        assert (await cast.icon.get(f"/providers/{ident}")).status_code == 404
    for ident in ("0", "nobody", "99999999999999999999"):
        assert (await cast.sari.get(f"/providers/{ident}")).status_code == 404


async def test_a_provider_is_renamed_by_the_province_alone_and_keeps_its_slug(cast: Cast) -> None:
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await person.patch("/providers/iconplus", {"name": "PLN Icon Plus"})).status_code == 403
    renamed = await cast.sari.patch("/providers/iconplus", {"name": "PLN Icon Plus"})
    assert (renamed.status_code, renamed.json()["slug"]) == (200, "iconplus")
    assert (await cast.icon.get("/providers/iconplus")).json()["name"] == "PLN Icon Plus"
    for wrong in ({}, {"name": ""}, {"name": None}, {"slug": "icon"}, {"name": "a\0b"}):
        assert (await cast.sari.patch("/providers/iconplus", wrong)).status_code == 422
    assert (await cast.sari.patch("/providers/nobody", {"name": "X"})).status_code == 404


async def test_every_change_of_a_provider_is_audited(cast: Cast) -> None:
    made = (await cast.sari.post("/providers", {"slug": "orbit", "name": "Orbit"})).json()
    for name in ("Telkom Orbit", "Telkom Orbit"):
        await cast.sari.patch("/providers/orbit", {"name": name})
    entries = (await cast.sari.get("/audit", params={"object": "provider"})).json()["items"]
    assert [(entry["actor"], entry["action"], entry["object_id"]) for entry in entries] == [
        ("token sari", "change", str(made["id"])),
        ("token sari", "create", str(made["id"])),
    ]
    assert (entries[0]["before"], entries[0]["after"]) == ({"name": "Orbit"}, {"name": "Telkom Orbit"})
    assert entries[1]["after"] == {"slug": "orbit", "name": "Orbit", "aliases": []}


async def test_aliases_are_replaced_by_the_province_alone_each_change_is_audited(cast: Cast) -> None:
    aliases = {"aliases": ["Telkom", "Indihome", "TELKOM "]}
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await person.patch("/providers/telkom-wms", aliases)).status_code == 403
    changed = await cast.sari.patch("/providers/telkom-wms", aliases)
    assert (changed.status_code, changed.json()["aliases"]) == (200, ["Telkom", "Indihome"])
    await cast.sari.patch("/providers/telkom-wms", {"name": "Telkom", "aliases": ["Telkom", "Indihome"]})
    telkom = (await cast.ana.get("/providers/telkom-wms")).json()
    assert (telkom["name"], telkom["aliases"]) == ("Telkom", ["Telkom", "Indihome"])
    entries = (await cast.sari.get("/audit", params={"object": "provider"})).json()["items"]
    assert [(entry["before"], entry["after"]) for entry in entries] == [
        ({"name": "Telkom WMS"}, {"name": "Telkom"}),
        ({"aliases": []}, {"aliases": ["Telkom", "Indihome"]}),
    ]


async def test_an_alias_means_one_provider_alone_in_any_spelling(cast: Cast) -> None:
    await cast.sari.patch("/providers/telkom-wms", {"aliases": ["Indi-Home"]})
    for wrong in (
        {"aliases": ["telkom_wms"]},
        {"aliases": ["INDIHOME", "indi home"]},
        {"name": "Indi Home"},
        {"aliases": ["Telkom WMS!"]},
    ):
        refused = await cast.sari.patch("/providers/iconplus", wrong)
        assert (refused.status_code, {fault["field"] for fault in refused.json()["errors"]}) == (409, {*wrong}), wrong
    new = {"slug": "indi-home", "name": "X", "aliases": ["Icon+"]}
    refused = await cast.sari.post("/providers", new)
    assert (refused.status_code, [fault["field"] for fault in refused.json()["errors"]]) == (409, ["slug", "aliases"])
    for malformed in ({}, {"aliases": None}, {"aliases": ["+"]}, {"aliases": [""]}, {"aliases": ["x" * 61]}):
        assert (await cast.sari.patch("/providers/iconplus", malformed)).status_code == 422
    many = {"aliases": [f"nama {n}" for n in range(21)]}
    assert (await cast.sari.patch("/providers/iconplus", many)).status_code == 422
