"""What one district learns of another's sites through its own: that an address is taken, and no more."""

import json
from typing import Any

from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, VILLAGE, register, site
from tests.support.imports import HEADER, MUARA, dry_run

ADDRESS = "198.51.100.20"


async def of_berau(cast: Cast, **fields: Any) -> dict[str, Any]:
    answer = await cast.sari.post("/sites", site(village_code=BERAU_VILLAGE, name="Rahasia Berau", **fields))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def told(content: Any) -> set[str]:
    """Return what a text tells of the neighbour."""
    text = content if isinstance(content, str) else json.dumps(content)
    return {secret for secret in (f"{BERAU_VILLAGE}-", "Rahasia Berau", "203.0.113.9") if secret in text}


async def test_an_address_taken_in_another_district_is_refused_without_naming_its_site(cast: Cast) -> None:
    await of_berau(cast, host=ADDRESS)

    async def refusal(person: Person) -> dict[str, Any]:
        answer = await person.post("/sites", site(host=ADDRESS))
        assert answer.status_code == 409
        return answer.json()["errors"][0]  # type: ignore[no-any-return]

    ana, sari = await refusal(cast.ana), await refusal(cast.sari)
    assert ana["code"] == sari["code"] == "duplicate_address"
    assert (told(ana), told(sari)) == (set(), {f"{BERAU_VILLAGE}-", "Rahasia Berau"})
    assert "outside your region" in ana["message"]
    assert "ask the province" in ana["suggestion"]
    assert "GET /api/v1/sites?q=" in sari["suggestion"]
    (row,) = await dry_run(cast.ana, HEADER, MUARA)
    assert "outside your region" in row["errors"][0]["message"]
    assert told(row) == set()


async def test_a_node_with_a_child_in_another_district_does_not_name_it(cast: Cast) -> None:
    node = await register(cast, host="198.51.100.1", kind="node")
    child = await of_berau(cast, host="203.0.113.9", parent_id=node["id"])
    refused = await cast.ana.patch(f"/sites/{node['code']}", {"kind": "access_point"})
    assert refused.status_code == 409
    assert told(refused.json()) == set()
    assert "outside your region" in refused.json()["errors"][0]["message"]
    to_the_province = await cast.sari.patch(f"/sites/{node['code']}", {"kind": "access_point"})
    assert child["code"] in to_the_province.text


async def test_an_export_leaves_a_parent_of_another_district_blank_and_its_import_keeps_it(cast: Cast) -> None:
    node = await of_berau(cast, host="203.0.113.9", kind="node")
    answer = await cast.sari.post("/sites", site(host=ADDRESS, parent_id=node["id"]))
    assert answer.status_code == 201
    exported = (await cast.ana.get("/sites/export")).text
    assert VILLAGE in exported
    assert told(exported) == set()
    assert node["code"] in (await cast.sari.get("/sites/export")).text
    (row,) = await dry_run(cast.ana, *exported.splitlines())
    assert (row["verdict"], row["changes"]) == ("same", {})
    assert (await cast.ana.get(f"/sites/{answer.json()['code']}")).json()["parent_id"] == node["id"]
