"""A sheet says from which day a contract covers a site: today if it does not, before today with a reason."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.validation import FaultError
from app.importing import dates
from tests.conftest import Cast, Person
from tests.factories import register
from tests.support.contracts import LONG_AGO, TODAY, assign_days, create_contract
from tests.support.imports import HEADER, MUARA, dry_run, fault_codes, upload, workbook
from tests.support.site_histories import day, site_since

COLUMNS = "Kode titik akses;Nomor kontrak;Mulai kontrak"


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def rows(person: Person, lines: str, **params: Any) -> list[dict[str, Any]]:
    answer = await upload(person, lines, {"Accept-Language": "en"}, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]  # type: ignore[no-any-return]


async def assignments(cast: Cast, site: dict[str, Any] | int) -> list[tuple[str, str, str | None, str | None]]:
    ident = site if isinstance(site, int) else site["id"]
    items = (await cast.sari.get(f"/sites/{ident}/contracts")).json()["items"]
    return [(item["contract"], item["from"], item["to"], item["reason"]) for item in items]


@pytest.mark.parametrize(
    "written",
    ["2026-01-05", "5/1/2026", "05-01-2026", "5.1.2026", "5 Januari 2026", "5 Jan 2026", "05 januari 2026"],
)
def test_a_day_is_read_as_districts_write_it(written: str) -> None:
    assert dates.parse("contract_from", written) == date(2026, 1, 5)


@pytest.mark.parametrize("written", ["1/13/2026", "31/2/2026", "5 Foo 2026", "2026", "46027", "5/1/26", "5 1 1926"])
def test_what_is_no_day_is_refused(written: str) -> None:
    with pytest.raises(FaultError) as refused:
        dates.parse("contract_from", written)
    assert refused.value.fault.code == "bad_date"


async def test_without_a_start_a_contract_covers_a_site_from_today(cast: Cast) -> None:
    contract = await create_contract(cast)
    (row,) = await rows(cast.ana, f"{HEADER};Nomor kontrak\n{MUARA};{contract['number']}")
    assert row["changes"]["contract_id"]["after"] == contract["id"]
    assert await assignments(cast, row["site_id"]) == [(contract["number"], TODAY.isoformat(), None, None)]


async def test_a_new_site_comes_under_its_contract_on_the_day_that_its_sheet_says(cast: Cast) -> None:
    """Nothing counts before it is registered: no reason is asked for."""
    contract = await create_contract(cast)
    start = ago(30)
    file = workbook(
        ["Kode desa", "Teknologi", "ISP", "Metode", "IP", "No Kontrak", "Mulai kontrak"],
        ["64.02.05.2003", "fo", "Telkom WMS", "icmp", "198.51.100.20", contract["number"], start],
    )
    (row,) = (await upload(cast.ana, file)).json()["rows"]
    assert row["errors"] == []
    assert await assignments(cast, row["site_id"]) == [(contract["number"], start.isoformat(), None, None)]


async def test_the_same_file_again_changes_nothing_where_contracts_begin_later(cast: Cast) -> None:
    contract, later = await create_contract(cast), await create_contract(cast, number="K-2")
    start = ago(-30).isoformat()
    file = f"{HEADER};Nomor kontrak;Mulai kontrak\n{MUARA};{contract['number']};{start}"
    (row,) = await rows(cast.ana, file)
    url = f"/sites/{row['site_id']}/contracts"
    planned = (await cast.sari.get(url)).json()["items"]
    assert [item["verdict"] for item in await rows(cast.ana, file)] == ["same"]
    assert (await cast.sari.get(url)).json()["items"] == planned
    (other,) = await rows(cast.ana, file.replace(contract["number"], later["number"]))
    assert other["verdict"] == "update"
    assert await assignments(cast, row["site_id"]) == [("K-2", start, None, None)]


async def test_an_earlier_start_of_a_registered_site_is_the_provinces_and_needs_a_reason(
    cast: Cast, session: AsyncSession
) -> None:
    contract, site = await create_contract(cast), await site_since(session, cast, day(20))
    code = (await cast.sari.get(f"/sites/{site}")).json()["code"]
    file = f"{COLUMNS}\n{code};{contract['number']};{ago(9).isoformat()}"
    assert fault_codes((await dry_run(cast.ana, file, reason="x"))[0]) == {"contract_from": "province_dates_back"}
    (refused,) = await dry_run(cast.sari, file)
    assert fault_codes(refused) == {"contract_from": "reason_needed"}
    assert "reason=" in refused["errors"][0]["suggestion"]
    (row,) = await rows(cast.sari, file, reason="daftar dari penyedia")
    assert row["changes"]["contract_from"] == {"before": None, "after": ago(9).isoformat()}
    assert await assignments(cast, site) == [(contract["number"], ago(9).isoformat(), None, "daftar dari penyedia")]
    async with session.begin():
        stale = list(
            await session.scalars(text("SELECT day FROM stale_day WHERE site_id = :id ORDER BY 1"), {"id": site})
        )
    assert stale == [ago(n) for n in range(9, 0, -1)]
    assert [row["verdict"] for row in await rows(cast.sari, file)] == ["same"]


async def test_another_start_of_the_same_contract_moves_it(cast: Cast, session: AsyncSession) -> None:
    contract, site = await create_contract(cast), await register(cast)
    await assign_days(session, site["id"], contract["id"], ago(9))
    later = f"{COLUMNS}\n{site['code']};{contract['number']};{ago(4).isoformat()}"
    assert fault_codes((await dry_run(cast.sari, later))[0]) == {"contract_from": "reason_needed"}
    for start in (ago(4), ago(12)):
        file = f"{COLUMNS}\n{site['code']};{contract['number']};{start.isoformat()}"
        (row,) = await rows(cast.sari, file, reason="koreksi")
        assert row["verdict"] == "update"
        assert [item[1:3] for item in await assignments(cast, site)] == [(start.isoformat(), None)]


async def test_another_contract_replaces_the_present_one_from_its_start(cast: Cast, session: AsyncSession) -> None:
    old, new = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    await assign_days(session, site["id"], old["id"], LONG_AGO)
    file = f"{COLUMNS}\n{site['code']};K-2;{ago(9).isoformat()}"
    assert (await rows(cast.sari, file, reason="BAST"))[0]["verdict"] == "update"
    assert [item[:3] for item in await assignments(cast, site)] == [
        (old["number"], LONG_AGO.isoformat(), ago(9).isoformat()),
        (new["number"], ago(9).isoformat(), None),
    ]


async def test_an_earlier_start_of_the_present_contract_ends_the_one_before_it(
    cast: Cast, session: AsyncSession
) -> None:
    old, new = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    await assign_days(session, site["id"], old["id"], LONG_AGO, ago(5))
    await assign_days(session, site["id"], new["id"], ago(5), ago(-40))
    file = f"{COLUMNS}\n{site['code']};K-2;{ago(9).isoformat()}"
    assert (await rows(cast.sari, file, reason="BAST"))[0]["verdict"] == "update"
    assert [item[:3] for item in await assignments(cast, site)] == [
        (old["number"], LONG_AGO.isoformat(), ago(9).isoformat()),
        (new["number"], ago(9).isoformat(), ago(-40).isoformat()),
    ]
    (late,) = await dry_run(cast.sari, COLUMNS, f"{site['code']};K-2;{ago(-40).isoformat()}", reason="x")
    assert fault_codes(late) == {"contract_from": "ends_before_start"}


async def test_a_start_that_another_contract_contradicts_is_an_error_of_its_row(
    cast: Cast, session: AsyncSession
) -> None:
    old, new = await create_contract(cast), await create_contract(cast, number="K-2", valid_from=ago(30).isoformat())
    site = await register(cast)
    await assign_days(session, site["id"], old["id"], ago(5))

    async def codes(start: str, number: str = "K-2") -> dict[str, str]:
        return fault_codes((await dry_run(cast.sari, COLUMNS, f"{site['code']};{number};{start}", reason="x"))[0])

    assert await codes(ago(9).isoformat()) == {"contract_from": "under_contract"}
    assert await codes(ago(40).isoformat()) == {"contract_from": "before_contract"}
    assert await codes("kemarin") == {"contract_from": "bad_date"}
    free = await register(cast, host="198.51.100.21")
    (row,) = await dry_run(cast.sari, COLUMNS, f"{free['code']};;{ago(1).isoformat()}", reason="x")
    assert fault_codes(row) == {"contract_id": "missing"}
    assert new["id"] > old["id"]


async def test_an_export_carries_number_and_start_and_changes_nothing_when_imported(
    cast: Cast, session: AsyncSession
) -> None:
    contract, site = await create_contract(cast), await register(cast)
    await assign_days(session, site["id"], contract["id"], ago(9))
    exported = (await cast.sari.get("/sites/export", params={"lang": "en"})).text
    assert f"{contract['number']},{ago(9).isoformat()}" in exported
    (row,) = await rows(cast.sari, exported)
    assert (row["verdict"], row["errors"]) == ("same", [])
