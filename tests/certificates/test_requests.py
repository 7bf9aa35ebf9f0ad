"""Who may ask for a certificate, of which hours, and how many; and what runs until it is over."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.certificates.requesting import MOST_RUNNING
from app.core.clock import utc_now
from app.postgres.engine import Sessions
from app.worker.certificates_job import freeze_certificates
from tests.certificates.conftest import BEGAN, END, HOUR, START, MeasuredLine
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.site_histories import execute, site_since
from tests.support.uptime import get


def next_hour(hours: int = 2) -> datetime:
    return utc_now().replace(minute=0, second=0, microsecond=0) + hours * HOUR


async def code_of(line: MeasuredLine, **body: Any) -> tuple[int, str]:
    answer = await line.request(**body)
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_hours_ahead_run_until_they_are_over_and_settled(
    line: MeasuredLine, sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    answer = await cast.ana.post(f"/sites/{line.site}/certificates", {})
    certificate = answer.json()
    assert (answer.status_code, certificate["status"], certificate["number"]) == (201, "running", None)
    assert answer.headers["Location"].endswith(f"/certificates/{certificate['id']}")
    begins = datetime.fromisoformat(certificate["from"])
    assert utc_now() < begins <= utc_now() + HOUR
    path = f"/certificates/{certificate['id']}"
    assert (await get(cast.ana, path))["data"] is None
    for beside in ("document", "files/hours.csv"):
        assert (await cast.ana.get(f"{path}/{beside}")).status_code == 409
    assert (await cast.stranger.client.get(f"/verifikasi/{certificate['verify_code']}")).status_code == 404

    over = begins + 24 * HOUR
    await freeze_certificates(sessions, over - HOUR)
    assert (await get(cast.ana, path))["status"] == "running"
    await execute(session, "UPDATE site_status SET evidence_at = :at", at=over + timedelta(minutes=5))
    await freeze_certificates(sessions, over + timedelta(minutes=5))
    done = await get(cast.ana, path)
    assert (done["status"], done["data"]["asked"]["beforehand"]) == ("done", True)
    assert done["data"]["total"]["coverage_pct"] is not None
    await freeze_certificates(sessions, over + 2 * HOUR)
    assert await get(cast.ana, path) == done, "a second run changes nothing"


async def test_what_never_settles_is_frozen_as_it_is_known(
    line: MeasuredLine, sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    certificate = await line.certified(start=next_hour())
    over = next_hour() + 24 * HOUR
    await execute(
        session,
        "INSERT INTO throughput_test (site_id, planned_at, month, mode, status, technology, provider_id, "
        "village_code, allowed_down_bytes, allowed_up_bytes, max_s, reserved_bytes, waits_until, down_bytes, up_bytes) "
        "SELECT id, :at, date_trunc('month', cast(:at AS timestamptz))::date, 'push', 'running', technology, "
        "provider_id, village_code, 1, 1, 1, 1, :at, 0, 0 FROM site WHERE id = :id",
        at=over - HOUR,
        id=line.site,
    )
    await execute(session, "UPDATE site_status SET evidence_at = :at", at=over + HOUR)
    await freeze_certificates(sessions, over + HOUR)
    assert (await get(cast.ana, f"/certificates/{certificate['id']}"))["status"] == "running", "a test still runs"
    await freeze_certificates(sessions, over + 24 * HOUR)
    done = await get(cast.ana, f"/certificates/{certificate['id']}")
    assert [test["status"] for test in done["data"]["tests"]] == ["running"]


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (START + timedelta(minutes=30), "not_full_hour"),
        (next_hour(8 * 24), "too_far_ahead"),
        (next_hour(-3), "under_way"),
        (BEGAN - 20 * 24 * HOUR, "readings_gone"),
        (BEGAN - HOUR, "not_in_service"),
    ],
)
async def test_hours_that_cannot_be_certified_are_refused_with_the_reason(
    line: MeasuredLine, moment: datetime, code: str
) -> None:
    answer = await line.request(start=moment)
    assert answer.status_code == 422
    assert code in [fault["code"] for fault in answer.json()["errors"]]


async def test_nodes_retired_sites_and_changed_lines_are_refused(
    line: MeasuredLine, session: AsyncSession, cast: Cast
) -> None:
    node = await cast.sari.post(
        "/sites",
        {
            "kind": "node",
            "village_code": "64.02.05.2003",
            "technology": "fiber",
            "provider": "telkom-wms",
            "probe": "icmp",
            "host": "198.51.100.77",
        },
    )
    assert await code_of(line, site=node.json()["id"]) == (422, "not_an_access_point")
    assert (await cast.ana.delete(f"/sites/{line.site}")).status_code == 204
    assert await code_of(line, start=next_hour()) == (422, "not_in_service")
    middle = START + 3 * HOUR
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id AND started_at < :at",
        "INSERT INTO site_configuration (site_id, started_at, ended_at, lifecycle, technology, provider_id, "
        "addressed_at, village_code) SELECT id, :at, :end, 'active', 'radio', provider_id, :at, village_code "
        "FROM site WHERE id = :id",
        id=line.site,
        at=middle,
        end=END + HOUR,
    )
    assert await code_of(line) == (422, "line_changed")


async def test_certificates_of_a_site_do_not_overlap(line: MeasuredLine) -> None:
    first = await line.certified()
    answer = await line.request(start=END - HOUR)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "overlaps")
    assert f"Certificate {first['id']} " in answer.json()["errors"][0]["message"]
    beside = await line.certified(start=END)
    assert (await get(line.cast.ana, f"/certificates/{beside['id']}"))["data"]["others_30_days"] == 1


async def test_a_repetition_with_the_same_key_creates_nothing(line: MeasuredLine, cast: Cast) -> None:
    path, body = f"/sites/{line.site}/certificates", {"from": START.isoformat()}
    first, second = [await cast.ana.post(path, body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json()["id"] == first.json()["id"]


async def test_a_second_certificate_follows_the_one_before_the_cure(line: MeasuredLine, cast: Cast) -> None:
    first = await line.certified(start=START - 24 * HOUR)
    second = await line.certified(follows=first["id"])
    followed = (await get(cast.ana, f"/certificates/{second['id']}"))["data"]["follows"]
    assert (followed["number"], followed["results"]) == (first["number"], first["results"])
    assert await code_of(line, start=next_hour(), follows=999) == (422, "bad_follows")
    later = await line.certified(start=next_hour())
    assert await code_of(line, start=next_hour(30), follows=later["id"]) == (422, "bad_follows"), "it runs"
    page = await cast.stranger.client.get(f"/verifikasi/{first['verify_code']}")
    assert second["number"] in page.text


async def test_a_district_runs_only_so_many_at_once(line: MeasuredLine, session: AsyncSession, cast: Cast) -> None:
    async with session.begin():
        for number in range(MOST_RUNNING):
            await session.execute(
                text(
                    "INSERT INTO certificate (site_id, village_code, provider_id, started_at, ended_at, requested_at, "
                    "requested_by, verify_code) SELECT id, village_code, provider_id, :at, "
                    "cast(:at AS timestamptz) + interval '24 hours', now(), 'ana', :code FROM site WHERE id = :id"
                ),
                {"id": line.site, "at": next_hour(200 + 24 * number), "code": f"uji-{number}"},
            )
    assert await code_of(line, start=next_hour()) == (409, "too_many_running")
    assert (await line.certified())["status"] == "done", "hours that are over run nothing"


async def test_providers_see_what_is_done_of_their_own_lines(
    line: MeasuredLine, session: AsyncSession, cast: Cast
) -> None:
    """Whoever knows beforehand which day is measured can make that day better."""
    site = await site_since(session, cast, BEGAN, (END, "up"), provider="iconplus")
    other = await line.certified()
    done = await line.certified(site=site)
    running = await line.certified(site=site, start=next_hour())
    assert [row["id"] for row in (await get(cast.ana, f"/sites/{site}/certificates"))["items"]] == [
        running["id"],
        done["id"],
    ]
    assert [row["id"] for row in (await get(cast.icon, f"/sites/{site}/certificates"))["items"]] == [done["id"]]
    assert (await cast.icon.get(f"/certificates/{done['id']}/document")).status_code == 200
    assert (await cast.icon.get(f"/certificates/{running['id']}")).status_code == 404
    assert (await cast.icon.get(f"/certificates/{other['id']}")).status_code == 404
    assert (await line.request("icon", site=site, start=END)).status_code == 403
    await execute(session, "UPDATE site SET provider_id = (SELECT id FROM provider WHERE slug = 'telkom-wms')")
    assert (await cast.icon.get(f"/certificates/{done['id']}")).status_code == 200, "it was its line then"


async def test_a_district_asks_for_its_own_sites_and_all_is_audited(
    line: MeasuredLine, session: AsyncSession, cast: Cast
) -> None:
    assert (await line.request("ben")).status_code == 404
    certificate = await line.certified()
    assert (await cast.ben.get(f"/certificates/{certificate['id']}")).status_code == 404
    there = await site_since(session, cast, BEGAN, (END, "up"), village_code=BERAU_VILLAGE)
    assert (await line.request("ben", site=there)).status_code == 201
    (entry,) = (await get(cast.sari, "/audit", object="certificate", actor="token ana"))["items"]
    assert (entry["action"], entry["object_id"], entry["after"]["follows"]) == ("create", str(certificate["id"]), None)


async def test_service_that_ends_meanwhile_proves_nothing(
    line: MeasuredLine, sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    certificate = await line.certified(start=next_hour())
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id AND ended_at IS NULL",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT id, :at, 'suspended', technology, provider_id, :at, village_code FROM site "
        "WHERE id = :id",
        "UPDATE site SET lifecycle = 'suspended' WHERE id = :id",
        id=line.site,
        at=next_hour(20),
    )
    await freeze_certificates(sessions, next_hour() + 48 * HOUR)
    data = (await get(cast.ana, f"/certificates/{certificate['id']}"))["data"]
    assert data["obstacles"][0] == "out_of_service"
    assert data["latency"]["result"] == "not_provable"
    assert data["total"]["seconds"]["inactive"] == 6 * 3_600
