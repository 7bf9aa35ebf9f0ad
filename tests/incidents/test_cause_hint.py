"""What a device says when it is back: since when it runs tells its power from its link."""

import pytest
from sqlalchemy import text

from app.incidents.cause_hint import Return, hint
from app.postgres.engine import transaction
from app.registry.models import Cause
from tests.incidents.conftest import Field


async def heard(field: Field, site: int, boot: str, *, booted: int | None, first: int, last: int) -> None:
    """What the receipts know of a boot, at seconds after the start."""
    async with transaction(field.sessions) as session:
        await session.execute(
            text(
                "INSERT INTO push_receipt (site_id, boot, seen, booted_at, first_at, last_at) "
                "VALUES (:site, :boot, '{[1,2)}', :booted, :first, :last) ON CONFLICT (site_id, boot) "
                "DO UPDATE SET booted_at = excluded.booted_at, last_at = excluded.last_at"
            ),
            {
                "site": site,
                "boot": boot,
                "booted": None if booted is None else field.at(booted),
                "first": field.at(first),
                "last": field.at(last),
            },
        )


async def hinted(field: Field) -> str | None:
    (one,) = await field.listed()
    return one["cause_hint"]  # type: ignore[no-any-return]


def test_up_for_shorter_than_it_was_away_its_power_was_off() -> None:
    assert hint(shared=False, back=Return(uptime_s=40, outage_s=600)) is Cause.POWER
    assert hint(shared=False, back=Return(uptime_s=86_400, outage_s=600)) is Cause.LINK
    assert hint(shared=True, back=Return(uptime_s=40, outage_s=600)) is Cause.PROVIDER
    assert hint(shared=False) is None


# An outage from 100 to 700, the last answer before it at 40.
@pytest.mark.parametrize(
    ("booted", "expected"),
    [(660, "power"), (90, "power"), (720, "power"), (30, "link"), (-90_000, "link"), (None, None)],
)
async def test_the_boot_that_is_alive_when_the_site_is_back_tells_what_was_off(
    field_: Field, booted: int | None, expected: str | None
) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    await heard(field_, site, "now", booted=booted, first=min(booted or 700, 700), last=760)
    assert await hinted(field_) is None, "of an outage that lasts nothing is known"
    await field_.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    assert await hinted(field_) == expected


async def test_boots_before_and_after_the_return_say_nothing_of_it(field_: Field) -> None:
    site = await field_.site()
    await heard(field_, site, "before", booted=-5000, first=-4900, last=40)  # not heard since: is it still that one?
    await heard(field_, site, "later", booted=2000, first=2010, last=3000)
    await field_.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    assert await hinted(field_) is None
    await heard(field_, site, "mute", booted=None, first=700, last=1900)
    await heard(
        field_, site, "before", booted=-5000, first=-4900, last=800
    )  # from its spool, it was measuring all along
    await field_.write(site, (0, 100, "up"), (100, 710, "down"), (710, None, "up"))
    assert await hinted(field_) == "link"


async def test_late_rows_that_move_the_outage_change_the_hint_and_a_persons_cause_stays(field_: Field) -> None:
    site = await field_.site()
    await heard(field_, site, "now", booted=300, first=400, last=760)
    await field_.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    (made,) = await field_.listed()
    assert made["cause_hint"] == "power"
    await field_.patch(made["id"], cause="billing")
    await field_.write(site, (0, 400, "up"), (400, 700, "down"), (700, None, "up"))  # the device itself had answers
    (moved,) = await field_.listed()
    assert (moved["id"], moved["cause_hint"], moved["cause"]) == (made["id"], "link", "billing")
    events = (await field_.get(made["id"]))["events"]
    assert [event["after"].get("cause_hint") for event in events if event["kind"] == "moved"] == ["link"]


async def test_what_a_device_said_is_remembered_when_its_receipts_are_gone(field_: Field) -> None:
    site = await field_.site()
    await heard(field_, site, "now", booted=300, first=400, last=760)
    await field_.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    async with transaction(field_.sessions) as session:
        await session.execute(text("DELETE FROM push_receipt"))
    await field_.write(site, (0, 110, "up"), (110, 700, "down"), (700, None, "up"))
    assert await hinted(field_) == "power"
    await field_.write(site, (0, 110, "up"), (110, None, "down"))
    assert await hinted(field_) is None, "it lasts after all"
