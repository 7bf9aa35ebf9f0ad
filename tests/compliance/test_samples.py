"""Samples: recorded a day before or never, once, by the province alone; drawn sites count where not all are tested."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.compliance import samples
from app.compliance.line import Line, LineKey, SpeedCounts, SpeedTier
from app.compliance.method import METODE_V1
from app.compliance.period import parse_quarter, parse_sample_period
from app.compliance.row import Basis, units_of
from app.compliance.sample_draw import draw, seed_of
from app.compliance.sample_schemas import SampleIn
from app.compliance.shares import Doubt, PartResult, Share
from app.core.clock import WITA, midnight, today
from app.core.errors import Invalid
from app.core.periods import first_of_next_month
from app.profiles import Technology
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register

NEXT = first_of_next_month(first_of_next_month(today()))
PERIOD = f"{NEXT:%Y-%m}"
BODY = {"period": PERIOD, "public_text": "gempa M 4,1 14:22:07 WIB", "public_source": "BMKG, gempa terakhir"}
FIBER = Technology.FIBER


async def test_a_sample_is_drawn_once_and_everybody_sees_their_own_of_it(session: AsyncSession, cast: Cast) -> None:
    sites = [await register(cast, host=f"198.51.100.{n}") for n in range(8)]
    berau = await register(cast, host="198.51.100.90", village_code=BERAU_VILLAGE, provider="iconplus")
    await register(cast, host="198.51.100.91", kind="node")
    assert (await cast.sari.get(f"/compliance/samples?period={PERIOD}")).json()["items"] == []
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await person.post("/compliance/samples", BODY)).status_code == 403
    answer = await cast.sari.post("/compliance/samples", BODY)
    assert answer.status_code == 201, answer.text
    sample = answer.json()
    seed = seed_of(METODE_V1, PERIOD, str(BODY["public_text"]))
    assert (sample["seed"], sample["starts_on"]) == (seed, NEXT.isoformat())
    of_telkom = [each["code"] for each in sample["sites"] if each["provider"] == "telkom-wms"]
    assert of_telkom == draw(seed, [site["code"] for site in sites], METODE_V1)
    assert [(each["code"], each["of_sites"]) for each in sample["sites"] if each["provider"] == "iconplus"] == [
        (berau["code"], 1)
    ]
    again = await cast.sari.post("/compliance/samples", BODY | {"public_text": "a text that suits me better"})
    assert again.status_code == 409
    for person, codes in ((cast.ana, set(of_telkom)), (cast.ben, {berau["code"]}), (cast.icon, {berau["code"]})):
        (seen,) = (await person.get("/compliance/samples")).json()["items"]
        assert ({each["code"] for each in seen["sites"]}, seen["seed"]) == (codes, seed)
    audited = (await cast.sari.get("/audit?object=sample")).json()["items"]
    assert [entry["object_id"] for entry in audited] == [PERIOD]


@pytest.mark.parametrize("table", ["compliance_sample", "compliance_sampled_site"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET period = period", "DELETE FROM {}"])
async def test_a_published_sample_is_never_changed(session: AsyncSession, table: str, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        async with session.begin():
            await session.execute(text(statement.format(table)))


@pytest.mark.parametrize(
    ("name", "code"),
    [("2027-13", "bad_period"), ("kuartal", "bad_period"), ("2020-01", "too_late"), ("2089-Q1", "too_early")],
)
async def test_a_wrong_period_is_named(cast: Cast, name: str, code: str) -> None:
    answer = await cast.sari.post("/compliance/samples", BODY | {"period": name})
    assert (answer.status_code, [fault["code"] for fault in answer.json()["errors"]]) == (422, [code])


async def test_a_seed_is_recorded_a_day_before_the_period_or_never(session: AsyncSession, cast: Cast) -> None:
    period, begins = parse_sample_period("2027-Q1"), midnight(date(2027, 1, 1))

    async def record(at: datetime) -> dict[str, Any]:
        async with session.begin():
            body = SampleIn.model_validate(BODY | {"period": "2027-Q1"})
            return await samples.record_sample(session, body, period, caller=caller, now=at)

    caller = Caller(None, "Sari", Role.PROVINCE_ADMIN, "64", account_id=None, username="sari")
    for at in (begins - timedelta(hours=23, minutes=59), begins, begins + timedelta(days=3)):
        with pytest.raises(Invalid) as error:
            await record(at)
        assert error.value.faults[0].code == "too_late"
    assert (await record(begins - timedelta(days=1)))["ends_on"] == date(2027, 4, 1)


def test_quarters_are_three_months_in_wita() -> None:
    for number, (first, after) in enumerate([(1, 4), (4, 7), (7, 10), (10, 13)], 1):
        quarter = parse_quarter(f"2026-Q{number}")
        assert quarter is not None
        assert quarter.start.astimezone(WITA).date() == date(2026, first, 1)
        assert quarter.end.astimezone(WITA).date() == date(2026 + after // 13, (after - 1) % 12 + 1, 1)


def test_where_not_all_are_tested_the_drawn_sites_decide_and_without_a_sample_nobody_does() -> None:
    """Of 20 sites ten were tested, all fast; of those drawn beforehand one was not, and another was slow."""
    fast, slow, untested = Share(10, 10), Share(40, 4), Share()

    def unit(drawn: set[int], shares: dict[int, Share]) -> Any:
        lines = {
            LineKey(site, 1, FIBER): Line(SpeedTier(20.0, None), down=SpeedCounts(shares.get(site, untested)))
            for site in range(20)
        }
        (unit,) = units_of(lines, drawn, METODE_V1)
        return unit.speed("down")

    tested = dict.fromkeys(range(10), fast)
    speed = unit(set(), tested)
    assert (speed.basis, speed.judged.doubt) == (Basis.NONE, Doubt.TOO_FEW_SITES)
    speed = unit({0, 1, 2, 3, 11}, tested)
    assert (speed.basis, speed.of_sites, speed.tested_sites) == (Basis.SAMPLE, 5, 4)
    assert (speed.counts.share.counted, speed.judged.result) == (40, PartResult.PASSES)
    speed = unit({0, 1, 2, 12, 11}, tested)
    assert (speed.basis, speed.judged.doubt) == (Basis.SAMPLE, Doubt.TOO_FEW_SITES)
    speed = unit({0, 1, 2, 3, 4}, tested | {4: slow})
    assert (speed.basis, speed.judged.result) == (Basis.SAMPLE, PartResult.FAILS)
    speed = unit({0, 1, 2, 3, 4}, dict.fromkeys(range(16), fast))
    assert (speed.basis, speed.counts.share.counted) == (Basis.ALL, 160)
