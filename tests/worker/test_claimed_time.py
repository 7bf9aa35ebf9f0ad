"""What a device reports of a time in which nobody heard it is a claim: it proves nothing, and erases nothing."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.agents import agent_tokens
from app.postgres.engine import transaction
from tests.support.claimed_time import INVENTED, claims, cut_off, figures, incident_of, readings
from tests.support.pushing_sites import Field
from tests.support.shared_start import savepoint


async def test_a_push_that_is_late_by_less_than_two_intervals_makes_no_outage_and_claims_nothing_away(
    field: Field,
) -> None:
    late, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 435, sites=others)
    await field.send(late, 440, [(360, 3), (420, 3)])
    await field.drain()
    assert await field.silences(late) == [(360, "timeout")]
    assert await field.states(late) == [(0, "up", None)]
    total = await field.uptime(late, 0, 440)
    assert (total["seconds"]["up"], total["uptime_pct"]) == (440, 100)


async def test_batches_in_time_are_evidence_as_ever(field: Field) -> None:
    metered = field.ids[0]
    await field.send(metered, 0, every=300)
    await field.send(metered, 310, [(60, 3), (120, 0), (180, 0), (240, 3), (300, 3)], every=300)
    await field.drain()
    assert [one[1:] for one in await readings(field, metered, "agent")] == [
        ("ok", "arrival"),
        ("ok", "claimed"),
        ("timeout", "claimed"),
        ("timeout", "claimed"),
        ("ok", "claimed"),
        ("ok", None),
    ]
    assert await field.states(metered) == [(0, "up", None), (120, "down", None), (240, "up", None)]
    assert await claims(field, metered) == []


async def test_a_late_loss_counts_against_the_site(field: Field) -> None:
    alone = field.ids[0]
    await field.send(alone, 0)
    await field.send(alone, 600, [(60, 0), (120, 0), (180, 0), (240, 3), (300, 3), (540, 3)])
    await field.drain()
    assert await field.states(alone) == [
        (0, "up", None),
        (60, "down", None),
        (240, "unknown", "silent"),
        (600, "up", None),
    ]
    assert await claims(field, alone) == [(240, 384), (540, 600)]


async def test_a_late_loss_takes_nothing_from_a_silence_that_is_valid_for_longer(
    field: Field, connection: AsyncConnection
) -> None:
    metered, *others = field.ids
    async with transaction(field.sessions) as session:
        for table in ("site", "site_configuration"):
            await session.execute(text(f"UPDATE {table} SET technology = 'geo'"))  # of this test
    for second in range(0, 2101, 15):
        await field.push(None, received=second)
        for site_id in field.ids if second <= 300 else others:
            if second % 300 == 0:
                await field.beat(site_id, second, valid_s=300)
        await field.record_missed(second + 1)
    assert await field.states(metered) == [(0, "up", None), (600, "down", None)]
    for after in (0, 1, 30, 200):
        async with savepoint(connection):
            again = field.copy(field.sessions, field.cast, field.app)
            losses = [(second + after, 0) for second, _ in await again.silences(metered) if second is not None]
            await again.send(metered, 2090, losses, boot="forged", every=300)
            await again.drain()
            assert await again.states(metered) == [(0, "up", None), (600, "down", None), (2090, "up", None)], after


async def test_a_token_claims_nothing_of_the_time_before_its_first_use(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    async with transaction(field.sessions) as session:
        await agent_tokens.revoke(session, silent, by="the agent, when it was removed")
    await field.live(315, 1080, sites=others)
    assert await field.states(silent) == [(0, "up", None)], "its silence says nothing"
    async with transaction(field.sessions) as session:
        await agent_tokens.mint(session, silent, by="Ana")
    await field.send(silent, 1090, INVENTED, token_since=1090)
    await field.drain()
    assert await claims(field, silent) == []
    assert await figures(field, silent, 0, 1140) == {"up": 410, "unknown": 730}


async def test_no_later_claim_covers_what_the_device_itself_had_lost(field: Field) -> None:
    for site_id, forged_first in zip(field.ids[:2], (False, True), strict=True):
        await field.send(site_id, 0)
        lost = [(second, 0) for second in range(60, 541, 60)]
        forged = [(second + 5, 3) for second, _ in lost]
        pushes = [lost, forged]
        for number, rows in enumerate(reversed(pushes) if forged_first else pushes):
            await field.send(site_id, 600 + number, rows)
            await field.drain()
        assert await field.states(site_id) == [(0, "up", None), (60, "down", None), (600, "up", None)]
        assert [start for start, _ in await claims(field, site_id) if start is not None and start < 600] == []


async def test_a_forged_row_in_a_blind_stretch_is_a_claim_too(field: Field) -> None:
    site = field.ids[0]
    await field.live(0, 300, sites=field.ids)
    await field.live(900, 960, sites=field.ids[1:])
    await field.send(site, 970, [(second, 3) for second in range(360, 961, 60)])
    await field.drain()
    assert await field.states(site) == [(0, "up", None), (360, "unknown", "blind"), (970, "up", None)]
    assert await claims(field, site) == [(360, 970)]


async def test_an_honest_device_loses_nothing_by_our_own_absence(field: Field) -> None:
    site = field.ids[0]
    await field.live(0, 300, sites=field.ids)
    await field.live(900, 960, sites=field.ids[1:])
    await field.send(site, 970, [(second, 3) for second in range(360, 961, 60)])
    await field.drain()
    assert await figures(field, site, 0, 1000) == {"up": 1000, "claimed": 610}
    total = await field.uptime(site, 0, 1000)
    assert (total["coverage_pct"], total["worst_pct"]) == (100, 100)


async def test_a_first_answer_cannot_be_claimed(field: Field) -> None:
    site = field.ids[0]
    await field.send(site, 600, [(second, 3) for second in range(0, 600, 60)])
    await field.drain()
    assert field.second((await field.get(f"/sites/{site}"))["commissioned_at"]) == 600
    assert await figures(field, site, 0, 650) == {"up": 50, "unknown": 600}


async def test_the_incident_stays_and_says_who_contests_it_and_what_speaks_against_that(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, -60, boot="real")
    await cut_off(field)
    await field.send(silent, 1090, INVENTED, boot="forged", address="110.5.1.1")
    await field.drain()
    incident = await incident_of(field)
    (site,) = incident["sites"]
    assert (incident["status"], site["duration_s"], site["duration_min_s"]) == ("resolved", 730, 0)
    assert (field.second(site["refuted_at"]), site["refuted_s"], site["refuted_from"]) == (1090, 730, "110.5.1.1")
    assert site["refuted_signs"] == ["network_changed", "unheard_boot"]
    events = [(one["kind"], one["site_id"]) for one in incident["events"]]
    assert events.count(("refuted", silent)) == 1
    for other in (field.cast.ana, field.cast.vera):
        answer = await other.get(f"/incidents/{incident['id']}")
        assert answer.json()["sites"][0] == site | {"refuted_from": None}
        assert "110.5" not in answer.text
