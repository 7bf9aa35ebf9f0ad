"""What a prober is told to look at, and what it is told afterwards."""

from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.settings import ProbeSettings, Settings
from app.vantages import assignment_store
from app.vantages.assigned_sites import read_assigned
from app.vantages.models import RegisteredProber
from tests.conftest import Cast
from tests.factories import register
from tests.support.probers import name_vantage, register_prober

SETTINGS = Settings(canaries=["203.0.113.1"], probe=ProbeSettings(allow=["127.0.0.0/8"]))


class Asking:
    """A prober that keeps what it was told."""

    def __init__(self, session: AsyncSession, prober_id: int) -> None:
        self.session, self.prober_id = session, prober_id
        self.etag: str | None = None
        self.version: int | None = None
        self.sites: dict[int, dict[str, Any]] = {}

    async def ask(self, settings: Settings = SETTINGS, **changes: Any) -> dict[str, Any] | None:
        """Return the answer; None: nothing changed."""
        question = {"since": self.version, "if_none_match": self.etag and f'"{self.etag}"'} | changes
        async with self.session.begin():
            prober = await self.session.get_one(RegisteredProber, self.prober_id)
            assigned = await read_assigned(self.session, prober, settings, **question)
        self.etag = assigned.etag
        if assigned.body is None:
            return None
        answer: dict[str, Any] = orjson.loads(assigned.body)
        self.version = answer["version"]
        self.sites = {} if answer["full"] else self.sites
        self.sites |= {site["id"]: site for site in answer["sites"]}
        for site_id in answer["removed"]:
            self.sites.pop(site_id, None)
        return answer


@pytest.fixture
async def asking(session: AsyncSession) -> Asking:
    await name_vantage(session, 1, "telkom")
    return Asking(session, await register_prober(session, "first", 1))


async def give(session: AsyncSession, prober_id: int | None, *site_ids: int, vantage: int = 1) -> None:
    async with session.begin():
        ids, holders = await assignment_store.load_holders(session, vantage)
        await assignment_store.save(session, vantage, ids, holders * 0 + (prober_id or 0))
    assert set(ids.tolist()) == set(site_ids)


async def test_a_prober_is_told_its_own_sites_and_how_to_look_at_them(
    asking: Asking, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast, host="198.51.100.7", technology="geo", vantages=[1])
    await register(cast, host="198.51.100.8")
    assert (await asking.ask() or {})["sites"] == [], "nobody gave it anything yet"
    await give(session, asking.prober_id, made["id"])
    answer = await asking.ask(since=None)
    assert answer is not None
    assert (answer["full"], answer["canaries"], answer["policy"]["allow"]) == (True, ["203.0.113.1"], ["127.0.0.0/8"])
    (site,) = answer["sites"]
    assert site.pop("addressed_at") > 1_700_000_000_000_000
    assert site == {
        "id": made["id"],
        "kind": "icmp",
        "host": "198.51.100.7",
        "port": None,
        "url": None,
        "packets": 3,
        "spacing_ms": 1000,
        "timeout_ms": 3000,
        "interval_s": 60,
        "valid_s": 60,
        "parent_id": None,
    }
    assert await asking.ask() is None


async def test_a_change_of_a_site_reaches_its_prober_without_a_worker(
    asking: Asking, cast: Cast, session: AsyncSession
) -> None:
    ids = [(await register(cast, host=f"198.51.100.{n}", vantages=[1]))["id"] for n in (7, 8)]
    await give(session, asking.prober_id, *ids)
    await asking.ask()
    await cast.sari.patch(f"/sites/{ids[0]}", {"host": "198.51.100.9"})
    answer = await asking.ask()
    assert answer is not None
    assert (answer["full"], [site["host"] for site in answer["sites"]], answer["removed"]) == (
        False,
        ["198.51.100.9"],
        [],
    )
    await cast.sari.delete(f"/sites/{ids[0]}")
    await cast.sari.patch(f"/sites/{ids[1]}", {"vantages": [0]})
    assert (await asking.ask() or {})["removed"] == ids
    assert asking.sites == {}


async def test_what_is_given_to_another_is_told_as_removed_and_other_vantages_are_not_told_of(
    asking: Asking, cast: Cast, session: AsyncSession
) -> None:
    site_id = (await register(cast, host="198.51.100.7", vantages=[1]))["id"]
    await name_vantage(session, 2, "icon")
    other = Asking(session, await register_prober(session, "second", 1))
    stranger = Asking(session, await register_prober(session, "elsewhere", 2))
    await give(session, asking.prober_id, site_id)
    for prober in (asking, other, stranger):
        await prober.ask()
    await give(session, other.prober_id, site_id)
    answers = [await prober.ask() or {} for prober in (asking, other, stranger)]
    assert [(set(prober.sites)) for prober in (asking, other, stranger)] == [set(), {site_id}, set()]
    assert (answers[2]["sites"], answers[2]["removed"]) == ([], [])
    await give(session, None, site_id)
    assert (await other.ask() or {})["removed"] == [site_id]


async def test_whoever_knows_another_past_or_other_settings_is_told_everything(
    asking: Asking, cast: Cast, session: AsyncSession
) -> None:
    site_id = (await register(cast, host="198.51.100.7", vantages=[1]))["id"]
    await give(session, asking.prober_id, site_id)
    first = await asking.ask()
    assert first is not None
    version, etag = first["version"], asking.etag
    others = Settings(canaries=["203.0.113.2"], probe=ProbeSettings(allow=["127.0.0.0/8"]))
    answers = [
        await asking.ask(others),
        await asking.ask(since=version + 1_000, if_none_match=None),
        await asking.ask(since=version - 1, if_none_match='"unknown"'),
    ]
    async with session.begin():
        await session.execute(text("UPDATE change_counter SET version = version + 1 WHERE name = 'generation'"))
    answers.append(await asking.ask(since=version, if_none_match=f'"{etag}"'))
    assert [(answer or {})["full"] for answer in answers] == [True] * 4
