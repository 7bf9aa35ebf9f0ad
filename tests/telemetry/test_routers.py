"""Routers over SNMP, v2c and v3, from a real snmpd; secrets are sealed, and what cannot be read is told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pysnmp.proto import rfc1902
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.postgres.engine import Sessions
from app.settings import Settings
from app.telemetry.snmp_sources import EVERY_S, next_at
from app.worker.telemetry_reader import TelemetryReader
from probes.policy import AddressPolicy
from probes.snmp import SnmpProblem, SnmpReader, SnmpTarget, _number_or_text
from probes.snmp_access import SnmpUser
from probes.sweep import Prober
from probes.telemetry import LinkState
from tests.conftest import SECRET_KEY, Cast, Person
from tests.factories import register
from tests.support.snmp_router import COMMUNITY, USER, open_router

V2C = {"host": "198.51.100.20", "interface": 1, "version": "v2c", "community": COMMUNITY}
V3 = {
    "host": "198.51.100.20",
    "interface": 1,
    "version": "v3",
    "user": USER.name,
    "auth_key": USER.auth_key,
    "priv_key": USER.priv_key,
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with open_router(tmp_path_factory.mktemp("router")) as port:
        yield port


@pytest.fixture
async def snmp() -> AsyncIterator[SnmpReader]:
    reader = SnmpReader(answer_s=0.5)
    yield reader
    reader.close()


@pytest.mark.parametrize("access", [COMMUNITY, USER])
async def test_an_interface_is_read_with_one_request(router: int, snmp: SnmpReader, access: str | SnmpUser) -> None:
    said = await snmp.read(SnmpTarget("127.0.0.1", 1, access, router))
    assert (said.device, said.state, said.cause) == ("lo", LinkState.UP, None)
    assert said.octets_in is not None
    assert said.octets_out is not None
    assert said.uptime_s is not None
    assert (await snmp.read(SnmpTarget("127.0.0.1", 1, access, router))).octets_in is not None


@pytest.mark.parametrize(
    ("access", "interface", "problem"),
    [
        ("salah", 1, "no_answer"),
        (SnmpUser("pantau", "sha256", "salah salah", USER.priv_key), 1, "refused"),
        (SnmpUser("siapa", "sha256", USER.auth_key, USER.priv_key), 1, "refused"),
        (COMMUNITY, 999_999, "no_such_interface"),
    ],
)
async def test_what_cannot_be_read_is_a_problem(
    router: int, snmp: SnmpReader, access: str | SnmpUser, interface: int, problem: str
) -> None:
    with pytest.raises(SnmpProblem, match=problem):
        await snmp.read(SnmpTarget("127.0.0.1", interface, access, router))


async def test_a_user_with_other_keys_at_another_router_is_another_user(router: int, snmp: SnmpReader) -> None:
    wrong = SnmpUser(USER.name, "sha256", "salah salah", USER.priv_key)
    for access, works in ((USER, True), (wrong, False), (USER, True)):
        if works:
            await snmp.read(SnmpTarget("127.0.0.1", 1, access, router))
        else:
            with pytest.raises(SnmpProblem):
                await snmp.read(SnmpTarget("127.0.0.1", 1, access, router))


async def put(person: Person, site: int, body: dict[str, Any]) -> Any:
    return await person.client.put(f"/api/v1/sites/{site}/telemetry/snmp", json=body)


async def test_a_sites_router_is_read_by_the_worker_and_its_secrets_are_never_shown(
    cast: Cast, session: AsyncSession, sessions: Sessions, router: int
) -> None:
    site = (await register(cast))["id"]
    assert (await put(cast.sari, site, V3)).status_code == 204
    async with session.begin():
        await session.execute(text("UPDATE telemetry_source SET host = '127.0.0.1', port = :port"), {"port": router})
    async with Prober.open(AddressPolicy(["127.0.0.0/8"]), packets_per_second=100) as prober:
        reader = TelemetryReader(sessions, prober, Settings(secret_key=[SECRET_KEY]))
        await reader.read_due()
        await reader.read_due()  # not due
        reader.close()
    async with session.begin():  # the current second is not over
        await session.execute(text("UPDATE telemetry_stretch SET started_at = started_at - interval '1 second'"))
    found = (await cast.ana.get(f"/sites/{site}/telemetry")).json()
    (source,), (stretch,) = found["sources"], found["stretches"]
    assert (source["interface_name"], source["state"], source["witness"]) == ("lo", "up", "terminal")
    assert stretch["answers"] == 1
    async with session.begin():
        audit = str((await session.execute(text("SELECT before, after FROM audit WHERE object = 'site'"))).all())
        due = await session.scalar(text("SELECT next_at > now() FROM telemetry_source"))
    assert due
    for secret in (USER.auth_key, str(USER.priv_key)):
        assert secret not in str(found) + audit


async def test_a_router_where_probes_may_not_go_and_one_that_is_silent_are_problems(
    cast: Cast, session: AsyncSession, sessions: Sessions
) -> None:
    site = (await register(cast))["id"]
    assert (await put(cast.sari, site, V2C)).status_code == 204
    async with session.begin():
        await session.execute(text("UPDATE telemetry_source SET host = '127.0.0.1'"))
    async with Prober.open(AddressPolicy(), packets_per_second=100) as prober:
        await TelemetryReader(sessions, prober, Settings(secret_key=[SECRET_KEY])).read_due()
    (source,) = (await cast.sari.get(f"/sites/{site}/telemetry")).json()["sources"]
    assert (source["problem"], source["failures"], source["state"]) == ("forbidden", 1, None)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"host": "10.0.0.1"}, "host", "forbidden_address"),
        ({"host": "127.1"}, "host", "forbidden_address"),
        ({"community": None}, "community", "missing_access"),
        ({"version": "v3"}, "user", "missing_access"),
        ({"interface": 0}, "interface", "greater_than_equal"),
    ],
)
async def test_a_source_that_cannot_work_is_refused_by_its_field(
    cast: Cast, changes: dict[str, Any], field: str, code: str
) -> None:
    site = (await register(cast))["id"]
    answer = await put(cast.sari, site, V2C | changes)
    assert answer.status_code == 422
    assert (field, code) in {(error["field"], error["code"]) for error in answer.json()["errors"]}


async def test_keys_are_kept_when_only_the_interface_changes_and_go_with_the_source(
    cast: Cast, session: AsyncSession
) -> None:
    site = (await register(cast))["id"]
    assert (await put(cast.sari, site, V2C)).status_code == 204
    before = await sealed(session)
    changed = {name: value for name, value in V2C.items() if name != "community"} | {"interface": 2}
    assert (await put(cast.sari, site, changed)).status_code == 204
    assert await sealed(session) == before
    assert (await put(cast.sari, site, changed | {"version": "v3"})).status_code == 422
    assert (await cast.sari.delete(f"/sites/{site}/telemetry/snmp")).status_code == 204
    assert (await cast.sari.delete(f"/sites/{site}/telemetry/snmp")).status_code == 204
    assert await sealed(session) is None


async def sealed(session: AsyncSession) -> Any:
    async with session.begin():
        return await session.scalar(text("SELECT secret FROM telemetry_source"))


def test_routers_are_read_at_their_own_seconds_of_five_minutes() -> None:
    now = floor_second(utc_now())
    waits = [(next_at(number, now) - now).total_seconds() for number in range(1, 101)]
    assert all(0 < wait <= EVERY_S for wait in waits)
    assert len(set(waits)) == 100


@pytest.mark.parametrize("value", [rfc1902.IpAddress("1.2.3.4"), rfc1902.ObjectIdentifier("1.3.6"), rfc1902.Bits(b"x")])
def test_a_value_of_another_kind_than_asked_for_is_as_good_as_none(value: Any) -> None:
    assert _number_or_text(value) is None
