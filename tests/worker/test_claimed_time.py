"""What a device reports of a time in which nobody heard it is a claim: it proves nothing, and erases nothing."""

from typing import Any

import pytest
from sqlalchemy import text

from app.agents import agent_tokens
from app.postgres.engine import transaction
from tests.support.pushing_sites import Field

INVENTED = [(second, 3) for second in range(360, 1100, 60)]


async def claims(field: Field, site_id: int) -> list[tuple[int | None, int | None]]:
    async with transaction(field.sessions) as session:
        query = text("SELECT started_at, ended_at FROM claim WHERE site_id = :id ORDER BY started_at")
        rows = (await session.execute(query, {"id": site_id})).all()
    return [(field.second(start), field.second(end)) for start, end in rows]


async def cut_off(field: Field) -> int:
    """A site whose agent stops at 300, while the others are heard until 1080."""
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 1080, sites=others)
    return silent


async def readings(field: Field, site_id: int, source: str) -> list[tuple[int | None, str, str | None]]:
    items = (await field.get(f"/sites/{site_id}/measurements", period="2h", limit=1000))["items"]
    return [(field.second(one["slot"]), one["outcome"], one["reason"]) for one in items if one["source"] == source]


async def incident_of(field: Field) -> dict[str, Any]:
    (incident,) = (await field.get("/incidents"))["items"]
    return await field.get(f"/incidents/{incident['id']}")  # type: ignore[no-any-return]


async def test_invented_rows_of_an_outage_leave_the_outage_proven(field: Field) -> None:
    silent = await cut_off(field)
    before = await field.states(silent)
    assert before == [(0, "up", None), (360, "down", None)]
    assert (await field.send(silent, 1090, INVENTED, boot="forged")).accepted == 13
    await field.drain()
    assert await field.states(silent) == [*before, (1090, "up", None)]
    assert {outcome for _, outcome in await field.silences(silent)} == {"timeout"}
    assert (await incident_of(field))["status"] == "resolved"
    late = [one for one in await readings(field, silent, "agent") if one[2] == "late"]
    assert [(second, outcome) for second, outcome, _ in late] == [(second, "fault") for second, _ in INVENTED]
    assert await claims(field, silent) == [(360, 1090)]


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


async def test_of_a_timely_push_only_the_rows_since_the_push_before_are_evidence(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090)
    await field.send(silent, 1095, [*INVENTED, (1092, 3)])
    await field.drain()
    assert await field.states(silent) == [(0, "up", None), (360, "down", None), (1090, "up", None)]
    assert await claims(field, silent) == [(360, 1092)]


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


async def test_rows_of_which_nothing_was_sent_hide_no_silence(field: Field) -> None:
    silent = await cut_off(field)
    before = await field.states(silent)
    await field.send(
        silent, 1090, [(second, -1) for second, _ in await field.silences(silent) if second], boot="forged"
    )
    await field.drain()
    assert await field.states(silent) == [*before, (1090, "up", None)]
    assert await figures(field, silent, 0, 1140) == {"up": 410, "down": 730}


@pytest.mark.parametrize("after", [0, 1, 30, 200])
async def test_a_late_loss_takes_nothing_from_a_silence_that_is_valid_for_longer(field: Field, after: int) -> None:
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
    losses = [(second + after, 0) for second, _ in await field.silences(metered) if second is not None]
    await field.send(metered, 2090, losses, boot="forged", every=300)
    await field.drain()
    assert await field.states(metered) == [(0, "up", None), (600, "down", None), (2090, "up", None)]


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


async def test_claims_of_many_pushes_stay_few_and_are_told_apart_from_none(field: Field) -> None:
    silent = await cut_off(field)
    for number in range(20):
        await field.send(silent, 1090 + number, [(360 + number + second, 3) for second in range(0, 700, 20)])
    await field.drain()
    assert await claims(field, silent) == [(360, 1109)]


async def test_a_forged_row_in_a_blind_stretch_is_a_claim_too(field: Field) -> None:
    site = field.ids[0]
    await field.live(0, 300, sites=field.ids)
    await field.live(900, 960, sites=field.ids[1:])
    await field.send(site, 970, [(second, 3) for second in range(360, 961, 60)])
    await field.drain()
    assert await field.states(site) == [(0, "up", None), (360, "unknown", "blind"), (970, "up", None)]
    assert await claims(field, site) == [(360, 970)]


async def figures(field: Field, site_id: int, first: float, last: float) -> dict[str, int]:
    total = await field.uptime(site_id, first, last)
    return {name: seconds for name, seconds in total["seconds"].items() if seconds}


async def test_claimed_outage_time_is_bad_in_the_worst_case_good_in_the_best_and_otherwise_left_out(
    field: Field,
) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090, INVENTED, boot="forged")
    await field.drain()
    assert await figures(field, silent, 0, 1140) == {"up": 410, "unknown": 730, "claimed": 730}
    total = await field.uptime(silent, 0, 1140)
    assert (total["uptime_pct"], total["coverage_pct"]) == (100, 35.964)
    assert (total["worst_pct"], total["best_pct"]) == (35.964, 100)
    assert (total["outages"], total["seconds"]["down"]) == (0, 0)


async def test_what_a_claim_leaves_of_an_outage_stays_down_and_is_one_outage(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090, [(600, 3), (660, 3)])
    await field.drain()
    assert await figures(field, silent, 0, 1140) == {"up": 410, "down": 586, "unknown": 144, "claimed": 144}
    total = await field.uptime(silent, 0, 1140)
    assert (total["outages"], total["longest_outage_s"]) == (1, 586)


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


async def test_segments_show_what_rests_on_a_claim_and_what_is_proven_of_it(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090, [(600, 3), (660, 3)])
    await field.drain()
    bounds = {"from": field.at(0).isoformat(), "to": field.at(1140).isoformat()}
    items = (await field.get(f"/sites/{silent}/segments", **bounds))["items"]
    shown = [
        (field.second(one["started_at"]), one["state"], one["unknown_reason"], one["evidence"], one["claim"] is None)
        for one in items
    ]
    assert shown == [
        (0, "up", None, "agent", True),
        (360, "down", None, "silence", True),
        (600, "unknown", "claimed", "claimed", False),
        (744, "down", None, "silence", True),
        (1090, "up", None, "agent", True),
    ]
    claim = items[2]["claim"]
    assert claim.pop("proven_state") == "down"
    assert {name: field.second(at) for name, at in claim.items()} == {
        "started_at": 600,
        "ended_at": 744,
        "received_at": 1090,
    }
    assert sum(one["duration_s"] for one in items) == 1140


async def test_live_status_stays_what_is_proven(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090, INVENTED)
    await field.drain()
    async with transaction(field.sessions) as session:
        query = text("SELECT state, since FROM site_status WHERE site_id = :id")
        row = (await session.execute(query, {"id": silent})).one()
    assert (row.state, field.second(row.since)) == ("up", 1090)


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


async def test_a_second_claim_moves_the_mark_and_is_no_second_event(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090, [(600, 3)])
    await field.drain()
    first = (await incident_of(field))["sites"][0]
    await field.send(silent, 1100, [(900, 3)])
    await field.drain()
    incident = await incident_of(field)
    second = incident["sites"][0]
    assert (first["refuted_s"], second["refuted_s"]) == (84, 168)
    assert second["refuted_at"] == first["refuted_at"]
    assert (first["duration_min_s"], second["duration_min_s"]) == (660 - 84, 660 - 168)
    assert [one["kind"] for one in incident["events"]].count("refuted") == 1


async def test_an_outage_that_nobody_contests_has_no_mark(field: Field) -> None:
    silent = await cut_off(field)
    await field.send(silent, 1090)
    await field.drain()
    assert (await incident_of(field))["sites"][0]["refuted_at"] is None
