"""What a device saw near itself during an outage tells power, device, link and a pulled cable apart."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.i18n import translate
from app.incidents.cause_hint import DeviceUptime, NearEvidence, hint
from app.incidents.near_cause import NearCause, cause_of, causes_of
from app.incidents.near_words import near_words
from app.measurements import near_looks
from app.measurements.near import Near, NearAccount, NearStretch
from app.postgres.engine import transaction
from app.registry.models import Cause
from tests.support.incident_scenario import IncidentScenario
from tests.support.near_looks import WELL, write_looks
from tests.support.push_receipts import add_receipt

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
ANSWERS = (True, False, None)
LINK, DEVICE, UNPLUGGED = Near(True, True, True), Near(True, False, True), Near(False, False, False)


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def evidence(*pieces: tuple[float, Cause], ended: float = 60) -> NearEvidence:
    return NearEvidence(tuple(NearCause(at(minute), cause) for minute, cause in pieces), at(ended))


def ran(minutes: float) -> DeviceUptime:
    """A device that ran so long when its site, away for an hour, answered again."""
    return DeviceUptime(minutes * 60, 3600)


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        (LINK, Cause.LINK),
        (Near(True, None, True), Cause.LINK),
        (Near(None, True, None), Cause.LINK),
        (Near(False, True, True), Cause.LINK),
        (DEVICE, Cause.DEVICE),
        (Near(False, False, True), Cause.DEVICE),
        (Near(False, None, None), Cause.DEVICE),
        (UNPLUGGED, Cause.UNPLUGGED),
        (Near(True, False, False), None),
        (Near(None, None, True), None),
    ],
)
def test_one_look_speaks_for_what_is_nearest_and_does_not_answer(near: Near, expected: Cause | None) -> None:
    assert cause_of(near, WELL) is expected


@given(st.builds(Near, *[st.sampled_from(ANSWERS)] * 3))
def test_what_never_answers_tells_nothing_by_its_silence(near: Near) -> None:
    assert cause_of(near, Near()) in {Cause.LINK, None}
    assert cause_of(near, Near(False, False, False)) in {Cause.LINK, None}


@pytest.mark.parametrize(
    ("pieces", "device", "expected"),
    [
        ([(0, Cause.LINK)], ran(9_000), Cause.LINK),
        ([(0, Cause.DEVICE)], ran(9_000), Cause.DEVICE),
        ([(0, Cause.UNPLUGGED)], None, Cause.UNPLUGGED),
        ([], ran(9_000), Cause.LINK),
        ([], ran(10), Cause.POWER),
        ([(55, Cause.LINK)], ran(6), Cause.POWER),
        ([(55, Cause.DEVICE), (57, Cause.LINK)], ran(6), Cause.POWER),
    ],
)
def test_the_cause_by_the_whole_outage(
    pieces: Sequence[tuple[float, Cause]], device: DeviceUptime | None, expected: Cause
) -> None:
    assert hint(shared=False, device=device, near=evidence(*pieces)) is expected
    assert hint(shared=True, device=device, near=evidence(*pieces)) is Cause.PROVIDER


def test_whoever_pulls_a_cable_or_a_plug_after_the_link_is_out_changes_nothing() -> None:
    assert hint(shared=False, near=evidence((0, Cause.LINK), (2, Cause.UNPLUGGED))) is Cause.LINK
    assert hint(shared=False, near=evidence((0, Cause.LINK), (2, Cause.DEVICE))) is Cause.LINK
    assert hint(shared=False, device=ran(30), near=evidence((0, Cause.LINK), (31, Cause.LINK))) is Cause.LINK


def test_what_speaks_against_what_failed_first_leaves_it_open() -> None:
    assert hint(shared=False, near=evidence((0, Cause.UNPLUGGED), (5, Cause.LINK))) is None
    assert hint(shared=False, near=evidence((0, Cause.UNPLUGGED), (55, Cause.LINK))) is Cause.UNPLUGGED
    assert hint(shared=False, device=ran(55), near=evidence((6, Cause.LINK))) is None, "power was back long before"


def test_every_look_has_words_in_both_languages() -> None:
    for near in (Near(*answers) for answers in product(ANSWERS, repeat=3)):
        words = near_words(near)
        assert words["id"] != words["en"] == translate(words["en"], {}, language="en")


def test_stretches_in_a_row_for_one_cause_are_one() -> None:
    looks = [Near(True, None, True), LINK, Near(None, None, True), LINK, UNPLUGGED]
    stretches = [NearStretch(at(minute), at(minute), 1, near) for minute, near in enumerate(looks)]
    told = causes_of(NearAccount(stretches, WELL))
    assert told == (NearCause(at(0), Cause.LINK), NearCause(at(4), Cause.UNPLUGGED))


async def test_an_incident_shows_what_its_device_saw_and_in_which_order(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    looks = [(second, True, LINK if second < 200 else UNPLUGGED) for second in range(100, 700, 60)]
    await write_looks(scenario, site, (-90, False, WELL), *looks, (700, False, WELL))
    await add_receipt(scenario, site, "now", booted=-5000, first=-4900, last=760)
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    (listed,) = await scenario.list_incidents()
    assert listed["cause_hint"] == "link", "it failed first"
    shown = (await scenario.get(listed["id"]))["near"]
    assert [(scenario.second(one["started_at"]), one["looks"], one["speaks_for"]) for one in shown] == [
        (100, 2, "link"),
        (220, 8, "unplugged"),
    ]
    assert shown[0]["text"]["en"] == "gateway and terminal answered, nothing beyond them did"
    path = f"/sites/{site}/explanation"
    told = (await scenario.cast.sari.get(path, params={"at": scenario.at(300).isoformat()})).json()
    assert (scenario.second(told["near"]["slot"]), told["near"]["carrier"]) == (280, False)
    assert any("Menurut perangkatnya sendiri" in sentence["id"] for sentence in told["why"])
    before = (await scenario.cast.sari.get(path, params={"at": scenario.at(50).isoformat()})).json()
    assert before["near"] is None


@pytest.mark.parametrize(("near", "expected"), [(DEVICE, "device"), (UNPLUGGED, "unplugged")])
async def test_a_suggested_cause_is_stored_whichever_it_is(
    scenario: IncidentScenario, near: Near, expected: str
) -> None:
    site = await scenario.site()
    await write_looks(scenario, site, (-90, False, WELL), *[(second, True, near) for second in range(100, 700, 60)])
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    (incident,) = await scenario.list_incidents()
    assert (incident["cause_hint"], incident["cause"], incident["must_act"]) == (expected, None, "village")


async def test_a_gateway_that_never_answers_is_no_broken_device(scenario: IncidentScenario) -> None:
    site, deaf = await scenario.site(), Near(False, None, True)
    await write_looks(scenario, site, (-90, False, deaf), *[(second, True, deaf) for second in range(100, 700, 60)])
    await add_receipt(scenario, site, "now", booted=-5000, first=-4900, last=760)
    await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    (incident,) = await scenario.list_incidents()
    assert incident["cause_hint"] == "link", "its device kept running"
    assert {one["speaks_for"] for one in (await scenario.get(incident["id"]))["near"]} == {None}


async def test_looks_are_kept_as_long_as_raw_readings(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await write_looks(scenario, site, (0, True, LINK), (60, True, LINK))
    async with transaction(scenario.sessions) as session:
        await near_looks.delete_old(session, scenario.at(60))
        assert await session.scalar(text("SELECT count(*) FROM near_look")) == 1
