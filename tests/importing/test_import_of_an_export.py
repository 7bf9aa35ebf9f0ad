"""Importing an export changes nothing."""

import pytest

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize(("format", "separator"), [("csv", "comma"), ("csv", "semicolon"), ("xlsx", "comma")])
async def test_importing_an_export_changes_nothing(cast: Cast, format: str, separator: str, language: str) -> None:
    tower = await register(cast, kind="node", host="198.51.100.1", village_code=BERAU_VILLAGE)
    await register(
        cast,
        parent_id=tower["id"],
        notes="=1+1\nsatu  dua",
        bandwidth_down_mbps=50.125,
        latitude=-0.361712345678,
        longitude=117.4,
        contact_phone="+62 812",
        contact_name="Ibu",
        power_source="none",
        ssid="@x",
        name="A  B",
        lifecycle="planned",
        service_no="0047000000000000001",
        port=80,
    )
    await register(cast, host="a.example.id", technology="leo", provider="iconplus", venue="kantor_desa")
    params = {"format": format, "separator": separator, "lang": language, "contacts": "true"}
    file = await cast.ana.get("/sites/export", params=params)
    imported = await cast.ana.client.post("/api/v1/sites/import", content=file.content, params={"dry_run": "true"})
    assert imported.json()["counts"] == {"create": 0, "update": 0, "same": 2, "error": 0, "warning": 1}, (
        imported.text
    )  # of the satellite
    assert imported.json()["warnings"] == []
