"""The certificates of a site on its page: asked for, refused with what was typed, listed with what came of them."""

from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.support.console import Visitor
from tests.support.site_histories import day, site_since


async def test_a_certificate_is_asked_for_and_stands_on_the_sites_page(
    officer: Visitor, reader: Visitor, session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(6), (day(1), "up"))
    path, action = f"/console/sites/{site}", f"/console/sites/{site}/certificates"
    page = await officer.get(path)
    refused = await officer.submit(page, action, **{"from": day(3, 14).strftime("%Y-%m-%dT%H:30")})
    assert (refused.status, "bukan jam penuh" in refused.text) == (422, True)
    for typed, said in (("2020-01-01T06:00", "sudah tidak disimpan"), ("kemarin", "")):
        refused = await officer.submit(await officer.get(path), action, **{"from": typed})
        assert (refused.status, said in refused.text) == (422, True)
    over = (day(3)).strftime("%Y-%m-%d")
    done = await officer.submit(await officer.get(path), action, **{"from": f"{over}T16:00"})
    assert done.status == 303, done.text
    shown = await officer.follow(done)
    assert "Sertifikat sudah diminta" in shown.text
    assert "ketersediaan tidak dinilai, latensi belum dapat disimpulkan" in shown.text
    assert shown.tree.xpath('//section[@id="certificates"]//a[contains(@href, "/document")]')
    running = await officer.submit(await officer.get(path), action)
    assert "Belum selesai" in (await officer.follow(running)).text
    assert not (await reader.get(path)).tree.xpath(f'//form[@action="{action}"]')
