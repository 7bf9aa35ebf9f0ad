"""A file that was tried is confirmed without being sent again: by its account alone, within an hour."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.importing import kept_uploads
from tests.conftest import Cast
from tests.support.imports import HEADER, MUARA, upload


async def test_a_kept_file_is_confirmed_by_its_id_and_reported_on(cast: Cast, session: AsyncSession) -> None:
    tried = (await upload(cast.ana, f"{HEADER}\n{MUARA}", dry_run=True, keep=True, name="kukar.csv")).json()
    assert (tried["counts"]["create"], tried["applied"]) == (1, False)
    kept = tried["upload"]
    report = await cast.ana.post(f"/sites/import?upload={kept}&dry_run=true&format=xlsx")
    assert report.status_code == 200
    for person in (cast.ben, cast.sari):
        refused = await person.post(f"/sites/import?upload={kept}")
        assert refused.json()["errors"][0]["code"] == "not_kept"
    done = (await cast.ana.post(f"/sites/import?upload={kept}")).json()
    assert (done["applied"], done["rows"][0]["code"]) == (True, "64.02.05.2003-01")
    assert (await cast.ana.post(f"/sites/import?upload={kept}")).json()["counts"]["same"] == 1
    named = await session.scalar(text("SELECT after->>'name' FROM audit WHERE action = 'import'"))
    assert named == "kukar.csv"


async def test_of_an_account_the_last_file_is_kept_and_none_for_longer_than_an_hour(
    cast: Cast, session: AsyncSession
) -> None:
    first, last = [
        (await upload(cast.ana, f"{HEADER}\n{MUARA}{n}", dry_run=True, keep=True)).json()["upload"] for n in (1, 2)
    ]
    assert (await cast.ana.post(f"/sites/import?upload={first}")).status_code == 422
    assert (await cast.ana.post(f"/sites/import?upload={last}&dry_run=true")).status_code == 200
    async with session.begin():
        await session.execute(text("UPDATE kept_upload SET kept_at = now() - interval '61 minutes'"))
    assert (await cast.ana.post(f"/sites/import?upload={last}")).status_code == 422
    async with session.begin():
        await kept_uploads.delete_old(session)
        assert await session.scalar(text("SELECT count(*) FROM kept_upload")) == 0


async def test_a_file_that_cannot_be_read_is_not_kept(cast: Cast, session: AsyncSession) -> None:
    assert (await upload(cast.ana, "bukan lembar kerja", dry_run=True, keep=True)).status_code == 422
    assert await session.scalar(text("SELECT count(*) FROM kept_upload")) == 0
