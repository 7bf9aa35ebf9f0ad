"""Uptime of sites, regions and providers on a real database: scope, edges, contracts, stale days."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.ranking_schemas import RankingOut
from app.availability.schemas import SumUptimeOut
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE
from tests.support.site_histories import day, execute, maintain, record_cause, set_states, site_since, under_contract
from tests.support.uptime import count, get

HOUR = timedelta(hours=1)


async def counted_rows(session: AsyncSession) -> list[Any]:
    async with session.begin():
        return [
            tuple(row)
            for table in ("availability_day", "outage_part", "region_availability_day")
            for row in await session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4, 5"))
        ]


async def test_a_regions_seconds_are_those_of_its_access_points_and_never_of_nodes(
    session: AsyncSession, cast: Cast
) -> None:
    sites = [
        await site_since(session, cast, day(5), (day(2, 3), "down"), (day(2, 4), "up")),
        await site_since(session, cast, day(3, 7), (day(1, 23), "down"), (day(0, 0.001), "up"), technology="geo"),
        await site_since(session, cast, day(4), (day(1, 12), "unknown"), (day(1, 13), "up"), provider="iconplus"),
    ]
    await site_since(session, cast, day(5), (day(4), "down"), kind="node")
    period = {"from": day(6, 5), "to": day(0, 0.01)}
    for counted in (False, True):
        if counted:
            await count(session)
        for step in ("hour", "day", "month"):
            answer = await get(cast.sari, "/regions/64.02/uptime", step=step, **period)
            each = [(await get(cast.sari, f"/sites/{n}/uptime", step=step, **period)) for n in sites]
            for name, seconds in answer["total"]["seconds"].items():
                assert seconds == sum(site["total"]["seconds"][name] for site in each), name
            for row, *rows in zip(answer["series"], *(site["series"] for site in each), strict=True):
                assert row["seconds"] == {n: sum(r["seconds"][n] for r in rows) for n in row["seconds"]}
                assert row["outages"] == sum(r["outages"] for r in rows)
                assert row["longest_outage_s"] == max(r["longest_outage_s"] for r in rows)
            assert (answer["total"]["sites"], answer["total"]["outages"]) == (3, 2)
            assert answer["total"]["longest_outage_s"] == 3603
            assert answer["total"]["sla_verdict"] is None


async def test_every_level_and_filter_counts_the_same_seconds(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(4), (day(2, 3), "down"), (day(1, 4), "up"))
    await site_since(session, cast, day(4), (day(2, 1), "down"), (day(2, 2), "up"), technology="geo")
    await site_since(session, cast, day(4), (day(3), "down"), (day(3, 2), "up"), village_code=BERAU_VILLAGE)
    await site_since(session, cast, day(4), (day(3), "down"), (day(3, 3), "up"), provider="iconplus")
    await count(session)
    period = {"from": day(4), "to": day(0)}
    asked = {
        "/regions/64/uptime": (25 + 1 + 2 + 3, 4, 4),
        "/regions/64.02/uptime": (25 + 1 + 3, 3, 3),
        f"/regions/{VILLAGE[:8]}/uptime": (29, 3, 3),
        f"/regions/{VILLAGE}/uptime": (29, 3, 3),
        "/regions/64.03/uptime": (2, 1, 1),
        "/regions/64/uptime?technology=geo": (1, 1, 1),
        "/regions/64/uptime?provider=iconplus": (3, 1, 1),
        "/providers/telkom-wms/uptime": (28, 3, 3),
        "/providers/telkom-wms/uptime?region=64.02": (26, 2, 2),
        "/providers/iconplus/uptime?technology=geo": (0, 0, 0),
    }
    for path, (hours, outages, sites) in asked.items():
        bounds = "&".join(f"{name}={moment.isoformat().replace('+', '%2B')}" for name, moment in period.items())
        answer = await cast.sari.get(f"{path}{'&' if '?' in path else '?'}{bounds}&step=day")
        total = answer.json()["total"]
        counted = total["seconds"]["down"] / 3600, total["outages"], total["sites"]
        assert counted == (hours, outages, sites), path
    total = (await get(cast.sari, "/regions/64/uptime", step="day", **period))["total"]
    assert total["longest_outage_s"] == 25 * 3600
    assert total["down_by_cause"] == {"unclassified": 31 * 3600}


async def test_nobody_reads_uptime_beyond_their_scope(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(2), (day(1), "down"), (day(1, 1), "up"))
    await site_since(session, cast, day(2), (day(1), "down"), (day(1, 2), "up"), provider="iconplus")
    await count(session)
    period = {"from": day(2), "to": day(0)}
    assert (await cast.ben.get("/regions/64.02/uptime")).status_code == 403
    assert (await cast.ben.get("/regions/64/uptime")).status_code == 403
    assert (await cast.ben.get("/ranking?by=site&region=64.02")).status_code == 403
    assert (await cast.ben.get("/providers/iconplus/uptime?region=64.02")).status_code == 403
    assert (await cast.sari.get("/regions/64.99/uptime")).status_code == 404
    assert (await cast.sari.get("/providers/nobody/uptime")).status_code == 404
    assert (await cast.icon.get("/providers/telkom-wms/uptime")).status_code == 404
    assert (await cast.stranger.get("/ranking?by=site")).status_code == 401
    assert (await get(cast.ana, "/regions/64.02/uptime", **period))["total"]["seconds"]["down"] == 3 * 3600
    assert (await get(cast.icon, "/regions/64/uptime", **period))["total"]["seconds"]["down"] == 2 * 3600
    assert (await get(cast.ben, "/providers/iconplus/uptime", **period))["total"]["sites"] == 0
    wrong = await cast.sari.get("/regions/64/uptime?provider=iconpuls")
    assert (wrong.status_code, wrong.json()["errors"][0]["suggestion"]) == (422, "Did you mean iconplus?")


async def test_a_period_before_anything_existed_is_inactive_and_no_error(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(1))
    for path, sites in ((f"/sites/{site_id}/uptime", 1), ("/regions/64.02/uptime", 1), ("/regions/64.03/uptime", 0)):
        total = (await get(cast.sari, path, **{"from": "2025-02-01", "to": "2025-02-03"}))["total"]
        assert total["seconds"]["inactive"] == sites * 2 * 86400
        assert [total[f"{name}_pct"] for name in ("uptime", "coverage", "worst", "best")] == [None] * 4


async def test_a_provider_counts_a_site_only_while_it_was_its_own(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(4), (day(2, 11), "down"), (day(2, 14), "up"))
    async with session.begin():
        iconplus = await session.scalar(text("SELECT id FROM provider WHERE slug = 'iconplus'"))
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT :id, :at, 'active', 'fiber', :provider, :at, village_code FROM site WHERE id = :id",
        "UPDATE site SET provider_id = :provider WHERE id = :id",
        id=site_id,
        at=day(2, 12),
        provider=iconplus,
    )
    for counted in (False, True):
        if counted:
            await count(session)
        for path, down, length in (("/providers/telkom-wms/uptime", 1, 36), ("/providers/iconplus/uptime", 2, 36)):
            total = (await get(cast.sari, path, step="day", **{"from": day(3), "to": day(0)}))["total"]
            assert total["seconds"]["down"] == down * 3600
            assert total["seconds"]["up"] + total["seconds"]["down"] == length * 3600
            assert (total["outages"], total["longest_outage_s"], total["sites"]) == (1, down * 3600, 1)
        region = (await get(cast.sari, "/regions/64/uptime", step="day", **{"from": day(3), "to": day(0)}))["total"]
        assert (region["outages"], region["longest_outage_s"], region["sites"]) == (1, 3 * 3600, 1)


async def test_a_region_counts_a_site_only_while_it_was_there(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(4), (day(2, 11), "down"), (day(2, 14), "up"))
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT id, :at, 'active', technology, provider_id, :at, '64.03.06.2006' FROM site "
        "WHERE id = :id",
        "UPDATE site SET village_code = '64.03.06.2006' WHERE id = :id",
        id=site_id,
        at=day(2, 12),
    )
    for counted in (False, True):
        if counted:
            await count(session)
        for code, down in (("64.02", 1), ("64.02.05.2003", 1), ("64.03", 2), ("64.03.06.2006", 2), ("64", 3)):
            answer = await get(cast.sari, f"/regions/{code}/uptime", step="day", **{"from": day(3), "to": day(0)})
            total = answer["total"]
            assert (total["seconds"]["down"], total["outages"], total["sites"]) == (down * 3600, 1, 1)
            assert total["seconds"]["up"] + total["seconds"]["down"] == (72 if code == "64" else 36) * 3600
        asked = {"by": "region", "level": "kabupaten_kota", "min_coverage_pct": 0, "from": day(3), "to": day(0)}
        ranked = (await get(cast.sari, "/ranking", **asked))["items"]
        assert {row["code"]: row["down_s"] for row in ranked} == {"64.02": 3600, "64.03": 2 * 3600}


async def test_maintenance_is_subtracted_first_and_overlapping_windows_once(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(3), (day(2, 10), "down"), (day(2, 14), "up"))
    other = await site_since(session, cast, day(3), provider="iconplus")
    await maintain(session, day(2, 11), day(2, 12), site_id=site_id)
    await maintain(session, day(2, 11.5), day(2, 12.5), region_code="64.02.05")
    async with session.begin():
        provider = await session.scalar(text("SELECT provider_id FROM site WHERE id = :id"), {"id": site_id})
    await maintain(session, day(2, 12.5), day(2, 13), provider_id=provider)
    await execute(session, "UPDATE maintenance_window SET cancelled_at = now() WHERE started_at = :at", at=day(2, 20))
    period = {"from": day(2), "to": day(1)}
    total = (await get(cast.sari, f"/sites/{site_id}/uptime", **period))["total"]
    assert (total["seconds"]["maintenance"], total["seconds"]["down"]) == (2 * 3600, 2 * 3600)
    assert (total["outages"], total["longest_outage_s"]) == (1, 2 * 3600)
    assert (await get(cast.sari, f"/sites/{other}/uptime", **period))["total"]["seconds"]["maintenance"] == 3600
    await count(session)
    region = (await get(cast.sari, "/regions/64/uptime", step="day", **period))["total"]
    assert (region["seconds"]["maintenance"], region["seconds"]["down"]) == (3 * 3600, 2 * 3600)


async def test_downtime_is_split_by_cause_and_the_rest_is_unclassified(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(3), (day(2, 22), "down"), (day(1, 2), "up"))
    await record_cause(session, site_id, day(2, 23), None, "power")
    await record_cause(session, site_id, day(1, 1), day(1, 3), "link")
    expected = {"power": 2 * 3600, "link": 3600, "unclassified": 3600}
    await count(session)
    for path in (f"/sites/{site_id}/uptime", "/regions/64/uptime"):
        answer = await get(cast.sari, path, step="day", **{"from": day(2), "to": day(0)})
        assert answer["total"]["down_by_cause"] == expected
        assert [row["down_by_cause"] for row in answer["series"]] == [
            {"power": 3600, "unclassified": 3600},
            {"power": 3600, "link": 3600},
        ]


async def test_a_contract_counts_outages_by_their_whole_length(session: AsyncSession, cast: Cast) -> None:
    """Three minutes before and three after midnight are one outage of six."""
    site_id = await site_since(
        session,
        cast,
        day(4),
        (day(3, 12), "down"),
        (day(3, 12.05), "up"),
        (day(2, -0.05), "down"),
        (day(2, 0.05), "up"),
        (day(2, 6), "down"),
        (day(2, 6.5), "up"),
    )
    await record_cause(session, site_id, day(2, 6), day(2, 7), "power")
    assert (await get(cast.sari, f"/sites/{site_id}/uptime"))["total"]["countable_down_s"] is None
    await under_contract(
        session,
        site_id,
        valid_from=day(9).date(),
        terms=[
            (day(9).date(), {"excluded_causes": ["power"], "sla_target_pct": 99.9}),
        ],
    )
    answer = await get(cast.sari, f"/sites/{site_id}/uptime", step="day", **{"from": day(3), "to": day(1)})
    assert [row["countable_down_s"] for row in answer["series"]] == [180, 180]
    assert answer["total"]["countable_down_s"] == 360
    assert (answer["total"]["sla_target_pct"], answer["total"]["sla_verdict"]) == (99.9, "missed")
    await count(session)
    region = await get(cast.sari, "/regions/64/uptime", step="day", **{"from": day(3), "to": day(1)})
    assert [row["countable_down_s"] for row in region["series"]] == [180, 180]


async def test_a_total_of_two_targets_has_none_of_its_own_but_a_verdict(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(4))
    first, second = (day(4) + 8 * HOUR).date(), (day(2) + 8 * HOUR).date()
    await under_contract(
        session,
        site_id,
        valid_from=first,
        terms=[
            (first, {"sla_target_pct": 97}),
            (second, {"sla_target_pct": 99}),
        ],
    )
    answer = await get(cast.sari, f"/sites/{site_id}/uptime", step="day", **{"from": day(3), "to": day(1)})
    shown = [(row["sla_target_pct"], row["sla_verdict"]) for row in [*answer["series"], answer["total"]]]
    assert shown == [(97.0, "met"), (99.0, "met"), (None, "met")]


async def test_counting_days_twice_gives_the_same_rows(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(6), (day(5, 20), "down"), (day(3, 4), "up"))
    await count(session)
    first = await counted_rows(session)
    await count(session)
    await execute(session, "DELETE FROM counted_day")
    await count(session)
    assert await counted_rows(session) == first
    assert len({row[0] for row in first if len(row) == 18}) == 6


async def test_a_day_is_counted_ten_minutes_after_its_midnight(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(2))
    await count(session, day(0, 0.1))
    async with session.begin():
        assert await session.scalar(text("SELECT max(day) FROM counted_day")) == (day(2) + 8 * HOUR).date()
    await count(session, day(0, 0.2))
    async with session.begin():
        assert await session.scalar(text("SELECT max(day) FROM counted_day")) == (day(1) + 8 * HOUR).date()


async def test_a_retroactive_change_shows_at_once_and_only_its_days_are_counted_again(
    session: AsyncSession, cast: Cast
) -> None:
    site_id = await site_since(session, cast, day(6))
    other = await site_since(session, cast, day(6), (day(5), "down"), (day(2), "up"))
    await count(session)
    before = {row[:4]: row for row in await counted_rows(session) if len(row) == 18}
    await set_states(session, site_id, (day(6), "up"), (day(4, 22), "down"), (day(3, 1), "up"))
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site_id, day(3), day(3, 1))])
    period = {"from": day(6), "to": day(0)}
    live = await get(cast.sari, "/regions/64/uptime", step="day", **period)
    assert live["total"]["seconds"]["down"] == (3 + 72) * 3600
    assert (live["total"]["outages"], live["total"]["longest_outage_s"]) == (2, 72 * 3600)
    await execute(session, "UPDATE availability_day SET up = 0 WHERE site_id = :other", other=other)
    await count(session)
    after = {row[:4]: row for row in await counted_rows(session) if len(row) == 18}
    changed = {(key[0], key[1]) for key, row in after.items() if row != before[key] and key[1] == site_id}
    days = {(day(ago) + 8 * HOUR).date() for ago in (4, 3)}  # the outage reaches back over midnight
    assert changed == {(touched, site_id) for touched in days}
    assert all(row[4] == 0 for key, row in after.items() if key[1] == other)
    await execute(
        session, "UPDATE availability_day SET up = :up WHERE site_id = :other AND down = 0", up=86400, other=other
    )
    assert (await get(cast.sari, "/regions/64/uptime", step="day", **period))["total"]["outages"] == 2
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM stale_day")) == 0


async def test_today_and_tomorrow_are_never_stale(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(2))
    async with session.begin():
        await invalidation.invalidate(
            session, [DirtyRange(site_id, day(0), day(0, 30)), DirtyRange(site_id, day(2, 1), day(1))]
        )
        await invalidation.invalidate(session, [DirtyRange(site_id, day(2, 1), day(1))])
        await invalidation.invalidate(session, [])
        marks = list(await session.scalars(text("SELECT day FROM stale_day")))
    assert marks == [(day(2) + 8 * HOUR).date()]


async def test_an_ongoing_outage_keeps_its_last_day_stale(session: AsyncSession, cast: Cast) -> None:
    """Short by now, it may yet become long enough for its contract to count."""
    site_id = await site_since(session, cast, day(3), (day(1, 23.99), "down"))
    first = day(3).date()
    await under_contract(session, site_id, valid_from=first, terms=[(first, {"min_outage_s": 3600})])
    await execute(
        session,
        "UPDATE site_status SET evidence_at = :at, valid_s = 60 WHERE site_id = :id",
        id=site_id,
        at=day(0, 0.19),
    )
    await count(session, day(0, 0.2))
    async with session.begin():
        assert list(await session.scalars(text("SELECT site_id FROM stale_day"))) == [site_id]


@pytest.mark.parametrize(
    ("path", "field", "code"),
    [
        ("/regions/64/uptime?technology=wifi", "technology", "enum"),
        ("/regions/64/uptime?region=64.02", "region", "unknown_parameter"),
        ("/providers/iconplus/uptime?region=6402", "region", "unknown_region"),
        ("/regions/64/uptime?period=12x", "period", "bad_period"),
        ("/ranking", "by", "missing"),
        ("/ranking?by=village", "by", "enum"),
        ("/ranking?by=site&min_coverage_pct=101", "min_coverage_pct", "less_than_equal"),
        ("/ranking?by=site&level=kecamatan", "level", "only_with_regions"),
        ("/ranking?by=site&cursor=bm9uc2Vuc2U", "cursor", "bad_cursor"),
    ],
)
async def test_invalid_parameters_are_refused(cast: Cast, path: str, field: str, code: str) -> None:
    answer = await cast.sari.get(path)
    assert answer.status_code == 422, answer.text
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [(field, code)]


async def test_the_examples_in_the_schema_are_valid(cast: Cast) -> None:
    schemas = (await cast.stranger.client.get("/openapi.json")).json()["components"]["schemas"]
    for model in (SumUptimeOut, RankingOut):
        assert schemas[model.__name__]["examples"]
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


async def test_too_many_hours_of_too_many_sites_are_refused(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(1))
    answer = await cast.sari.get("/regions/64/uptime?from=2025-01-01&to=2026-01-01&step=hour")
    assert answer.status_code == 200
    await execute(
        session,
        "INSERT INTO site (code, kind, village_code, name, host_static, technology, provider_id, link_role, "
        "probe, lifecycle, addressed_at, version, created_at, updated_at) SELECT code || '-99', 'access_point', code, "
        "name, true, 'fiber', (SELECT min(id) FROM provider), 'primary', 'push', 'active', now(), 1, now(), now() "
        "FROM region WHERE level = 'desa_kelurahan'",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT id, now(), 'active', 'fiber', provider_id, now(), village_code FROM site "
        "WHERE code LIKE '%-99'",
        "UPDATE change_counter SET version = version + 1 WHERE name = 'registry'",
    )
    answer = await cast.sari.get("/regions/64/uptime?from=2025-01-01&to=2026-01-01&step=hour")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_much_at_once")
