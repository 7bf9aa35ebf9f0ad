"""Whatever happens, in whatever order it is known: who heard of an outage hears its end, once, and nothing waits."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from app.alerts.models import AlertKind
from app.core.clock import to_wita
from tests.support.alerts import AlertDesk
from tests.support.incident_scenario import IncidentScenario, LedgerPiece

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SITES, BEHIND_NODE = 7, 5
ENDS = ("withdrawn", "recovered", "came_and_went")


class Ledger:
    """Of sites that go down and come back at random, and of which an outage turns out to have been none."""

    def __init__(self, scenario: IncidentScenario, seed: int) -> None:
        self.scenario, self.random = scenario, random.Random(seed)
        self.pieces: dict[int, list[LedgerPiece]] = {}

    async def add_sites(self) -> None:
        node = await self.scenario.site(kind="node")
        for number in range(SITES):
            provider = self.random.choice(["telkom-wms", "iconplus"])
            parent = node if number < BEHIND_NODE else None
            self.pieces[await self.scenario.site(parent_id=parent, provider=provider)] = [(-100, None, "up")]

    def flip(self, site: int, second: int) -> None:
        start, _, state = self.pieces[site][-1]
        self.pieces[site][-1] = (start, second, state)
        self.pieces[site].append((second, None, "down" if state == "up" else "up"))

    def forget(self, site: int) -> None:
        """Later evidence: all of its outages but the present one were none."""
        start, _, state = self.pieces[site][-1]
        self.pieces[site] = [(-100, None, "up")] if state == "up" else [(-100, start, "up"), (start, None, "down")]

    async def write(self, second: int, *sites: int) -> None:
        self.scenario.now = self.scenario.at(second)
        for site in self.random.sample(sites, len(sites)):
            await self.scenario.write(site, *self.pieces[site], span=(-100, second + 10))

    async def go_on(self, second: int) -> None:
        changed = self.random.sample(list(self.pieces), self.random.choice([1, 1, 2, 5, SITES]))
        for site in changed:
            self.flip(site, second)
        if self.random.random() < 0.25:
            changed.append(self.random.choice(list(self.pieces)))
            self.forget(changed[-1])
        await self.write(second, *sorted(set(changed)))  # as drawn, whatever ids the sites have

    async def end_all(self, second: int) -> None:
        down = [site for site, pieces in self.pieces.items() if pieces[-1][2] == "down"]
        for site in down:
            self.flip(site, second)
        await self.write(second, *down)


def minute_of_day(scenario: IncidentScenario, minutes: int) -> int:
    local = to_wita(scenario.at(60 * minutes))
    return local.hour * 60 + local.minute


@pytest.mark.parametrize("seed", [0])
async def test_whoever_hears_of_an_outage_hears_its_end_once(
    scenario: IncidentScenario, desk: AlertDesk, seed: int
) -> None:
    ledger, second = Ledger(scenario, seed), 0
    scenario.start = scenario.now
    plain, quiet, patient, province = [await desk.channel(office) for office in ("64.02", "64.02", "64.02", "64")]
    await desk.rule(plain)
    await desk.rule(quiet, quiet_from=minute_of_day(scenario, 20), quiet_to=minute_of_day(scenario, 60))
    await desk.rule(patient, least_s=300)
    await desk.rule(province, office="64", kinds=[AlertKind.SHARED])
    await ledger.add_sites()
    for _ in range(30):
        second += ledger.random.choice([5, 20, 60, 200, 600])
        await ledger.go_on(second)
        for seconds in (0, 31):
            await desk.compose(scenario.now + seconds * SECOND)
    await ledger.end_all(second + 100)
    for tens in range(1, 17):
        await desk.compose(scenario.now + 10 * tens * MINUTE)
    assert [row.subject for row in await desk.announcements() if row.state == "pending"] == []
    for channel in (plain, quiet, patient, province):
        last_heard, ends = dict[str, str](), Counter[tuple[object, ...]]()
        for content in await desk.contents(channel):
            for section in (*ENDS, "down"):
                for site in getattr(content, section).sites:
                    last_heard[site.code] = section
            ends.update((site.code, site.incident_id, site.ended_at) for site in content.recovered.sites)
        assert [code for code, section in last_heard.items() if section == "down"] == []
        assert [end for end, times in ends.items() if times > 1] == []
