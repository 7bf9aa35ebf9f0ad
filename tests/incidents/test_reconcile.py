"""Incidents follow the ledger: opened, kept, split, merged, withdrawn; what people did to them is never lost."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event, text

from app.incidents.reconcile import reconcile_incidents
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import transaction
from probes.contract import Outcome
from tests.support.incident_scenario import IncidentScenario

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT


async def test_a_confirmed_outage_opens_an_incident_and_the_first_answer_resolves_it(
    scenario: IncidentScenario,
) -> None:
    site = await scenario.site()
    await scenario.read(site, (0, OK), (60, TIMEOUT))
    assert await scenario.list_incidents() == []
    await scenario.read(site, (70, TIMEOUT))
    (made,) = await scenario.list_incidents()
    assert (made["kind"], made["status"], made["cause"], made["cause_hint"]) == ("single", "open", None, None)
    assert [member["id"] for member in made["sites"]] == [site]
    assert (scenario.second(made["started_at"]), scenario.second(made["last_ok_at"]), made["ended_at"]) == (60, 0, None)
    assert (made["duration_s"], made["duration_min_s"], made["duration_max_s"]) == (None, 10, None)
    await scenario.read(site, (80, TIMEOUT))
    await scenario.read(site, (90, OK))
    (over,) = await scenario.list_incidents()
    assert (over["id"], over["status"], scenario.second(over["ended_at"])) == (made["id"], "resolved", 90)
    assert (over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (30, 20, 90)


async def test_sound_sites_cost_one_statement(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.read(site, (0, OK), (60, OK))
    async with transaction(scenario.sessions) as session:
        statements: list[str] = []
        connection = (await session.connection()).sync_connection
        assert connection is not None
        event.listen(connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
        event.listen(connection, "savepoint", lambda *args: statements.append("SAVEPOINT"))
        await reconcile_incidents(session, [DirtyRange(site, scenario.at(0), scenario.at(60))], now=scenario.now)
        assert len(statements) == 1


async def test_silence_resolves_nothing(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, None, "unknown"))
    (made,) = await scenario.summaries()
    assert made[1:] == ("open", 100, None)
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, None, "down"))
    assert await scenario.summaries() == [made]
    await scenario.write(
        site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, 960, "down"), (960, None, "up")
    )
    (over,) = await scenario.list_incidents()
    assert (over["id"], over["status"], over["duration_s"]) == (made[0], "resolved", 860)
    assert over["duration_max_s"] == 960 - 40
    assert over["duration_min_s"] == 910 - 100 - 700, "what nobody saw is no proof"


async def test_a_gap_that_ends_with_an_answer_bounds_the_outage(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, None, "up"))
    (over,) = await scenario.list_incidents()
    found = (over["duration_s"], over["duration_min_s"], over["duration_max_s"])
    assert (over["status"], found) == ("resolved", (800, 10, 860))


async def test_losses_while_we_were_blind_prove_nothing(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.read(site, (0, OK), (60, TIMEOUT), (70, TIMEOUT), (80, TIMEOUT))
    await scenario.read(site, (100, TIMEOUT), (130, TIMEOUT), blind=(85, 200))
    await scenario.read(site, (210, OK))
    (over,) = await scenario.list_incidents()
    assert (over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (150, 20, 210)


async def test_a_parent_that_goes_out_meanwhile_makes_no_second_incident(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, 300, "unreachable"), (300, None, "down"))
    assert [one[1:] for one in await scenario.summaries()] == [("open", 100, None)]


async def test_unreachable_alone_is_no_incident(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "unreachable"), (200, 300, "unknown"), (300, None, "up"))
    assert await scenario.list_incidents() == []


async def test_two_outages_are_two_incidents(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, 300, "degraded"), (300, None, "down"))
    assert [one[1:] for one in await scenario.summaries()] == [("resolved", 100, 200), ("open", 300, None)]


async def test_a_retired_site_is_nobodys_incident_any_more(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    other = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    await scenario.cast.sari.delete(f"/sites/{site}")
    await scenario.reconcile((other, 0, 60))
    (over,) = await scenario.list_incidents()
    assert (over["status"], over["duration_max_s"]) == ("resolved", None)
    assert abs((scenario.second(over["ended_at"]) or 0) - 3600) <= 5


async def test_an_outage_that_is_rejudged_away_is_withdrawn_and_what_people_did_stays(
    scenario: IncidentScenario,
) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await scenario.summaries()
    await scenario.patch(made, status="acknowledged", cause="power", ticket_no="T-1")
    await scenario.cast.sari.post(f"/incidents/{made}/notes", {"text": "PLN padam"})
    await scenario.write(site, (0, 100, "up"), (100, 300, "unknown"), (300, None, "up"))
    gone = await scenario.get(made)
    assert (gone["status"], gone["merged_into"], gone["cause"], gone["ticket_no"]) == (
        "withdrawn",
        None,
        "power",
        "T-1",
    )
    assert (gone["acknowledged_by"], gone["notes"][0]["text"]) == ("token sari", "PLN padam")
    assert [one["id"] for one in gone["sites"]] == [site]
    assert await scenario.count("outage_cause") == 1
    assert [event["kind"] for event in gone["events"]] == ["opened", "changed", "withdrawn"]


async def test_the_evidence_of_an_outage_is_shown_however_its_segment_is_clipped(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.read(site, (0, Outcome.OK), (60, Outcome.TIMEOUT), (70, Outcome.TIMEOUT), (130, Outcome.OK))
    (incident,) = await scenario.list_incidents()
    assert [one["evidence"] for one in incident["sites"]] == ["central"]
    bounds = {"from": scenario.at(-50).isoformat(), "to": scenario.at(190).isoformat()}
    assert await _evidence(scenario, site, bounds) == [
        ("unknown", None),
        ("up", "central"),
        ("down", "central"),
        ("up", "central"),
    ]
    bounds = {"from": scenario.at(90).isoformat(), "to": scenario.at(120).isoformat()}
    assert await _evidence(scenario, site, bounds) == [("down", "central")]
    async with transaction(scenario.sessions) as session:
        await session.execute(text("DELETE FROM measurement"))
    assert await _evidence(scenario, site, bounds) == [("down", None)], "kept no more"


async def _evidence(scenario: IncidentScenario, site: int, bounds: dict[str, str]) -> list[tuple[str, str | None]]:
    answer = await scenario.cast.sari.get(f"/sites/{site}/segments", params=bounds)
    assert answer.status_code == 200, answer.text
    return [(one["state"], one["evidence"]) for one in answer.json()["items"]]


async def test_what_was_withdrawn_and_is_back_is_the_same_as_before(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await scenario.summaries()
    await scenario.patch(made, status="acknowledged")
    await scenario.write(site, (0, 300, "up"), (300, None, "unknown"))
    await scenario.write(site, (0, 110, "up"), (110, None, "down"))
    assert await scenario.summaries() == [(made, "acknowledged", 110, None)]


async def test_what_goes_down_after_one_was_withdrawn_is_another(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    scenario.now = scenario.at(161)
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    ((first, *_),) = await scenario.summaries()
    scenario.now = scenario.at(200)
    await scenario.write(site, (0, None, "up"))
    scenario.now = scenario.at(320)
    await scenario.write(site, (0, 260, "up"), (260, None, "down"))
    gone, made = await scenario.list_incidents()
    assert (gone["id"], gone["status"]) == (first, "withdrawn")
    assert (made["status"], scenario.second(made["started_at"]), scenario.second(made["opened_at"])) == (
        "open",
        260,
        320,
    )


async def test_an_incident_keeps_its_id_by_the_largest_overlap(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(
        site, (0, 100, "up"), (100, 110, "down"), (110, 120, "up"), (120, 500, "down"), (500, None, "up")
    )
    first, second = [one[0] for one in await scenario.summaries()]
    await scenario.write(
        site, (0, 50, "up"), (50, 300, "down"), (300, 310, "up"), (310, 900, "down"), (900, None, "up")
    )
    assert await scenario.summaries() == [(first, "resolved", 50, 300), (second, "resolved", 310, 900)]


async def test_of_a_split_outage_the_earlier_part_keeps_the_id(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await scenario.summaries()
    await scenario.patch(made, status="acknowledged")
    await scenario.write(
        site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"), span=(150, 200)
    )
    (first, second) = await scenario.summaries()
    assert first == (made, "resolved", 100, 150)
    assert (second[0] != made, second[1:]) == (True, ("open", 200, None))


async def test_of_two_that_prove_to_be_one_the_earlier_lives(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"))
    first, second = [one[0] for one in await scenario.summaries()]
    await scenario.cast.sari.post(f"/incidents/{second}/notes", {"text": "masih mati"})
    await scenario.write(site, (0, 100, "up"), (100, None, "down"), span=(150, 200))
    assert await scenario.summaries() == [(first, "open", 100, None), (second, "withdrawn", 200, None)]
    assert (await scenario.get(second))["merged_into"] == first
    assert [note["text"] for note in (await scenario.get(first))["notes"]] == ["masih mati"]
    await scenario.write(
        site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"), span=(150, 200)
    )
    assert await scenario.summaries() == [(first, "resolved", 100, 150), (second, "open", 200, None)]


async def test_a_confirmed_cause_goes_with_its_outage(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await scenario.summaries()
    await scenario.patch(made, cause="power")
    await scenario.write(site, (0, 90, "up"), (90, 300, "down"), (300, None, "up"))
    async with transaction(scenario.sessions) as session:
        rows = await session.execute(
            text("SELECT started_at, ended_at, cause, confirmed_by FROM outage_cause WHERE withdrawn_at IS NULL")
        )
        assert [(scenario.second(a), scenario.second(b), cause, by) for a, b, cause, by in rows] == [
            (90, 300, "power", "token sari")
        ]


async def test_following_again_changes_nothing(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"))
    await scenario.write(site, (0, 100, "up"), (100, 250, "down"), (250, None, "up"))
    before = await scenario.dump_tables()
    for spans in ([(site, -100, 3600)], [(site, 120, 130), (site, 400, 500)], [(site, 250, 250)]):
        await scenario.reconcile(*spans, now=scenario.now + timedelta(seconds=30))
    assert await scenario.dump_tables() == before


async def test_a_child_waits_for_its_parents_word(scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    child = await scenario.site(parent_id=node)
    await scenario.write(child, (0, 100, "up"), (100, None, "down"), reconcile=False)

    async def parent(**values: Any) -> None:
        async with transaction(scenario.sessions) as session:
            sets = ", ".join(f"{name} = :{name}" for name in values)
            await session.execute(text(f"UPDATE site_status SET {sets} WHERE site_id = :id"), {"id": node, **values})

    async def opened(second: int) -> bool:
        await scenario.reconcile((child, second, second), now=scenario.at(second))
        return await scenario.list_incidents() != []

    assert not await opened(111), "the parent was not seen yet"
    await parent(state="up", unknown_reason=None, seen_at=scenario.at(95), pending_at=None)
    assert not await opened(112), "it was not seen since"
    await parent(seen_at=scenario.at(105), pending_at=scenario.at(105))
    assert not await opened(115), "it may be down itself"
    await parent(state="down", seen_at=scenario.at(115), pending_at=None)
    assert not await opened(116), "it is down: the child is about to be judged again"
    await parent(state="up", seen_at=scenario.at(117))
    assert await opened(120)


async def test_a_child_waits_for_a_minute_and_no_longer(scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    child = await scenario.site(parent_id=node)
    await scenario.write(child, (0, 100, "up"), (100, None, "down"), reconcile=False)
    await scenario.reconcile((child, 169, 169), now=scenario.at(169))
    assert await scenario.list_incidents() == []
    await scenario.reconcile((child, 170, 170), now=scenario.at(170))
    assert len(await scenario.list_incidents()) == 1


async def test_an_outage_that_is_over_before_the_parents_word_is_not_forgotten(scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    child = await scenario.site(parent_id=node)
    await scenario.write(child, (0, 100, "up"), (100, 120, "down"), (120, None, "up"), reconcile=False)
    await scenario.reconcile((child, 110, 120), now=scenario.at(121))
    assert await scenario.list_incidents() == []
    await scenario.reconcile((child, 180, 180), now=scenario.at(181))
    assert [one[1:] for one in await scenario.summaries()] == [("resolved", 100, 120)]


async def test_a_node_that_is_down_tells_how_many_hang_on_it(scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    further = await scenario.site(kind="node", parent_id=node)
    for parent in (node, further, further):
        await scenario.site(parent_id=parent)
    await scenario.write(node, (0, 100, "up"), (100, None, "down"))
    (made,) = await scenario.list_incidents()
    assert (made["children"], len(made["sites"])) == (4, 1)
