"""Incidents follow the ledger: opened, kept, split, merged, withdrawn, and nothing that people did is lost."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event, text

from app.incidents import reconcile as incidents
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import transaction
from probes.contract import Outcome
from tests.incidents.conftest import Field

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT


async def test_a_confirmed_outage_opens_an_incident_and_the_first_answer_resolves_it(field_: Field) -> None:
    site = await field_.site()
    await field_.read(site, (0, OK), (60, TIMEOUT))
    assert await field_.listed() == []
    await field_.read(site, (70, TIMEOUT))
    (made,) = await field_.listed()
    assert (made["kind"], made["status"], made["cause"], made["cause_hint"]) == ("single", "open", None, None)
    assert [member["id"] for member in made["sites"]] == [site]
    assert (field_.second(made["started_at"]), field_.second(made["last_ok_at"]), made["ended_at"]) == (60, 0, None)
    assert (made["duration_s"], made["duration_min_s"], made["duration_max_s"]) == (None, 10, None)
    await field_.read(site, (80, TIMEOUT))
    await field_.read(site, (90, OK))
    (over,) = await field_.listed()
    assert (over["id"], over["status"], field_.second(over["ended_at"])) == (made["id"], "resolved", 90)
    assert (over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (30, 20, 90)


async def test_sound_sites_cost_one_statement(field_: Field) -> None:
    site = await field_.site()
    await field_.read(site, (0, OK), (60, OK))
    async with transaction(field_.sessions) as session:
        said: list[str] = []
        connection = (await session.connection()).sync_connection
        assert connection is not None
        event.listen(connection, "before_cursor_execute", lambda *args: said.append(args[2]))
        await incidents.follow(session, [DirtyRange(site, field_.at(0), field_.at(60))], now=field_.now)
        assert len(said) == 1


async def test_silence_resolves_nothing(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 200, "down"), (200, None, "unknown"))
    (made,) = await field_.short()
    assert made[1:] == ("open", 100, None)
    await field_.write(site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, None, "down"))
    assert await field_.short() == [made]
    await field_.write(
        site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, 960, "down"), (960, None, "up")
    )
    (over,) = await field_.listed()
    assert (over["id"], over["status"], over["duration_s"]) == (made[0], "resolved", 860)
    assert over["duration_max_s"] == 960 - 40
    assert over["duration_min_s"] == 910 - 100 - 700, "what nobody saw is no proof"


async def test_a_gap_that_ends_with_an_answer_bounds_the_outage(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, None, "up"))
    (over,) = await field_.listed()
    found = (over["duration_s"], over["duration_min_s"], over["duration_max_s"])
    assert (over["status"], found) == ("resolved", (800, 10, 860))


async def test_losses_while_we_were_blind_prove_nothing(field_: Field) -> None:
    site = await field_.site()
    await field_.read(site, (0, OK), (60, TIMEOUT), (70, TIMEOUT), (80, TIMEOUT))
    await field_.read(site, (100, TIMEOUT), (130, TIMEOUT), blind=(85, 200))
    await field_.read(site, (210, OK))
    (over,) = await field_.listed()
    assert (over["duration_s"], over["duration_min_s"], over["duration_max_s"]) == (150, 20, 210)


async def test_a_parent_that_goes_out_meanwhile_makes_no_second_incident(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 200, "down"), (200, 300, "unreachable"), (300, None, "down"))
    assert [one[1:] for one in await field_.short()] == [("open", 100, None)]


async def test_unreachable_alone_is_no_incident(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 200, "unreachable"), (200, 300, "unknown"), (300, None, "up"))
    assert await field_.listed() == []


async def test_two_outages_are_two_incidents(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 200, "down"), (200, 300, "degraded"), (300, None, "down"))
    assert [one[1:] for one in await field_.short()] == [("resolved", 100, 200), ("open", 300, None)]


async def test_a_retired_site_is_nobodys_incident_any_more(field_: Field) -> None:
    site = await field_.site()
    other = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    await field_.cast.sari.delete(f"/sites/{site}")
    await field_.follow((other, 0, 60))
    (over,) = await field_.listed()
    assert (over["status"], over["duration_max_s"]) == ("resolved", None)
    assert abs((field_.second(over["ended_at"]) or 0) - 3600) <= 5


async def test_an_outage_that_is_rejudged_away_is_withdrawn_and_what_people_did_stays(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await field_.short()
    await field_.patch(made, status="acknowledged", cause="power", ticket_no="T-1")
    await field_.cast.sari.post(f"/incidents/{made}/notes", {"text": "PLN padam"})
    await field_.write(site, (0, 100, "up"), (100, 300, "unknown"), (300, None, "up"))
    gone = await field_.get(made)
    assert (gone["status"], gone["merged_into"], gone["cause"], gone["ticket_no"]) == (
        "withdrawn",
        None,
        "power",
        "T-1",
    )
    assert (gone["acknowledged_by"], gone["notes"][0]["text"]) == ("token sari", "PLN padam")
    assert [one["id"] for one in gone["sites"]] == [site]
    assert await field_.count("outage_cause") == 1
    assert [event["kind"] for event in gone["events"]] == ["opened", "changed", "withdrawn"]


async def test_what_an_outage_rests_on_is_told_however_its_stretch_is_cut(field_: Field) -> None:
    site = await field_.site()
    await field_.read(site, (0, Outcome.OK), (60, Outcome.TIMEOUT), (70, Outcome.TIMEOUT), (130, Outcome.OK))
    (incident,) = await field_.listed()
    assert [one["evidence"] for one in incident["sites"]] == ["central"]
    bounds = {"from": field_.at(-50).isoformat(), "to": field_.at(190).isoformat()}
    assert await _rests(field_, site, bounds) == [
        ("unknown", None),
        ("up", "central"),
        ("down", "central"),
        ("up", "central"),
    ]
    bounds = {"from": field_.at(90).isoformat(), "to": field_.at(120).isoformat()}
    assert await _rests(field_, site, bounds) == [("down", "central")]
    async with transaction(field_.sessions) as session:
        await session.execute(text("DELETE FROM measurement"))
    assert await _rests(field_, site, bounds) == [("down", None)], "kept no more"


async def _rests(field_: Field, site: int, bounds: dict[str, str]) -> list[tuple[str, str | None]]:
    answer = await field_.cast.sari.get(f"/sites/{site}/segments", params=bounds)
    assert answer.status_code == 200, answer.text
    return [(one["state"], one["evidence"]) for one in answer.json()["items"]]


async def test_what_was_withdrawn_and_is_back_is_the_same_as_before(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await field_.short()
    await field_.patch(made, status="acknowledged")
    await field_.write(site, (0, 300, "up"), (300, None, "unknown"))
    await field_.write(site, (0, 110, "up"), (110, None, "down"))
    assert await field_.short() == [(made, "acknowledged", 110, None)]


async def test_what_goes_down_after_one_was_withdrawn_is_another(field_: Field) -> None:
    site = await field_.site()
    field_.now = field_.at(161)
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    ((first, *_),) = await field_.short()
    field_.now = field_.at(200)
    await field_.write(site, (0, None, "up"))
    field_.now = field_.at(320)
    await field_.write(site, (0, 260, "up"), (260, None, "down"))
    gone, made = await field_.listed()
    assert (gone["id"], gone["status"]) == (first, "withdrawn")
    assert (made["status"], field_.second(made["started_at"]), field_.second(made["opened_at"])) == ("open", 260, 320)


async def test_an_incident_keeps_its_id_by_the_largest_overlap(field_: Field) -> None:
    site = await field_.site()
    await field_.write(
        site, (0, 100, "up"), (100, 110, "down"), (110, 120, "up"), (120, 500, "down"), (500, None, "up")
    )
    first, second = [one[0] for one in await field_.short()]
    await field_.write(site, (0, 50, "up"), (50, 300, "down"), (300, 310, "up"), (310, 900, "down"), (900, None, "up"))
    assert await field_.short() == [(first, "resolved", 50, 300), (second, "resolved", 310, 900)]


async def test_of_a_split_outage_the_earlier_part_keeps_the_id(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await field_.short()
    await field_.patch(made, status="acknowledged")
    await field_.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"), span=(150, 200))
    (first, second) = await field_.short()
    assert first == (made, "resolved", 100, 150)
    assert (second[0] != made, second[1:]) == (True, ("open", 200, None))


async def test_of_two_that_prove_to_be_one_the_earlier_lives(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"))
    first, second = [one[0] for one in await field_.short()]
    await field_.cast.sari.post(f"/incidents/{second}/notes", {"text": "masih mati"})
    await field_.write(site, (0, 100, "up"), (100, None, "down"), span=(150, 200))
    assert await field_.short() == [(first, "open", 100, None), (second, "withdrawn", 200, None)]
    assert (await field_.get(second))["merged_into"] == first
    assert [note["text"] for note in (await field_.get(first))["notes"]] == ["masih mati"]
    await field_.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"), span=(150, 200))
    assert await field_.short() == [(first, "resolved", 100, 150), (second, "open", 200, None)]


async def test_a_confirmed_cause_goes_with_its_outage(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, None, "down"))
    ((made, *_),) = await field_.short()
    await field_.patch(made, cause="power")
    await field_.write(site, (0, 90, "up"), (90, 300, "down"), (300, None, "up"))
    async with transaction(field_.sessions) as session:
        rows = await session.execute(
            text("SELECT started_at, ended_at, cause, confirmed_by FROM outage_cause WHERE withdrawn_at IS NULL")
        )
        assert [(field_.second(a), field_.second(b), cause, by) for a, b, cause, by in rows] == [
            (90, 300, "power", "token sari")
        ]


async def test_following_again_changes_nothing(field_: Field) -> None:
    site = await field_.site()
    await field_.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"))
    await field_.write(site, (0, 100, "up"), (100, 250, "down"), (250, None, "up"))
    before = await field_.everything()
    for spans in ([(site, -100, 3600)], [(site, 120, 130), (site, 400, 500)], [(site, 250, 250)]):
        await field_.follow(*spans, now=field_.now + timedelta(seconds=30))
    assert await field_.everything() == before


async def test_a_child_waits_for_its_parents_word(field_: Field) -> None:
    node = await field_.site(kind="node")
    child = await field_.site(parent_id=node)
    await field_.write(child, (0, 100, "up"), (100, None, "down"), follow=False)

    async def parent(**values: Any) -> None:
        async with transaction(field_.sessions) as session:
            sets = ", ".join(f"{name} = :{name}" for name in values)
            await session.execute(text(f"UPDATE site_status SET {sets} WHERE site_id = :id"), {"id": node, **values})

    async def opened(second: int) -> bool:
        await field_.follow((child, second, second), now=field_.at(second))
        return await field_.listed() != []

    assert not await opened(111), "the parent was not seen yet"
    await parent(state="up", unknown_reason=None, seen_at=field_.at(95), pending_at=None)
    assert not await opened(112), "it was not seen since"
    await parent(seen_at=field_.at(105), pending_at=field_.at(105))
    assert not await opened(115), "it may be down itself"
    await parent(state="down", seen_at=field_.at(115), pending_at=None)
    assert not await opened(116), "it is down: the child is about to be judged again"
    await parent(state="up", seen_at=field_.at(117))
    assert await opened(120)


async def test_a_child_waits_for_a_minute_and_no_longer(field_: Field) -> None:
    node = await field_.site(kind="node")
    child = await field_.site(parent_id=node)
    await field_.write(child, (0, 100, "up"), (100, None, "down"), follow=False)
    await field_.follow((child, 169, 169), now=field_.at(169))
    assert await field_.listed() == []
    await field_.follow((child, 170, 170), now=field_.at(170))
    assert len(await field_.listed()) == 1


async def test_an_outage_that_is_over_before_the_parents_word_is_not_forgotten(field_: Field) -> None:
    node = await field_.site(kind="node")
    child = await field_.site(parent_id=node)
    await field_.write(child, (0, 100, "up"), (100, 120, "down"), (120, None, "up"), follow=False)
    await field_.follow((child, 110, 120), now=field_.at(121))
    assert await field_.listed() == []
    await field_.follow((child, 180, 180), now=field_.at(181))
    assert [one[1:] for one in await field_.short()] == [("resolved", 100, 120)]


async def test_a_node_that_is_down_tells_how_many_hang_on_it(field_: Field) -> None:
    node = await field_.site(kind="node")
    further = await field_.site(kind="node", parent_id=node)
    for parent in (node, further, further):
        await field_.site(parent_id=parent)
    await field_.write(node, (0, 100, "up"), (100, None, "down"))
    (made,) = await field_.listed()
    assert (made["children"], len(made["sites"])) == (4, 1)
