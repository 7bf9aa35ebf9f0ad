"""A list by status says how many it leaves out."""

from tests.support.incident_scenario import IncidentScenario


async def test_a_list_by_status_counts_those_that_it_leaves_out(scenario: IncidentScenario) -> None:
    for end in (300, None, None, None):
        site = await scenario.site()
        await scenario.write(site, (0, 100, "up"), (100, end, "down"), *([(300, None, "up")] if end else []))
    _, second, third, _ = [one["id"] for one in await scenario.list_incidents()]
    await scenario.patch(second, status="acknowledged")
    gone = (await scenario.get(third))["sites"][0]["id"]
    await scenario.write(gone, (0, None, "up"))

    async def left_out(**params: str) -> dict[str, int]:
        answer = await scenario.cast.sari.get("/incidents", params=params)
        return answer.json()["left_out"]  # type: ignore[no-any-return]

    assert await left_out(status="open") == {"acknowledged": 1, "resolved": 1, "withdrawn": 1}
    assert await left_out(status="open,acknowledged") == {"resolved": 1, "withdrawn": 1}
    assert await left_out(status="open", region="64.03") == {"acknowledged": 0, "resolved": 0, "withdrawn": 0}
    assert await left_out() == {}
    first = (await scenario.cast.sari.get("/incidents", params={"status": "open,acknowledged", "limit": "1"})).json()
    assert await left_out(status="open,acknowledged", cursor=first["next_cursor"]) == {}, "it was told already"


async def test_it_counts_no_incident_beyond_the_callers_scope(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    (made,) = await scenario.list_incidents()
    await scenario.patch(made["id"], status="acknowledged")
    for person, count in ((scenario.cast.ana, 1), (scenario.cast.ben, 0), (scenario.cast.icon, 0)):
        answer = await person.get("/incidents", params={"status": "open"})
        assert answer.json()["left_out"]["acknowledged"] == count
