"""`sinyal status`: what it lists, by which filters, as text and as JSON."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from app.cli import status_command
from app.cli.doctor.check_result import CheckStatus
from app.cli.doctor.probers import check_probers
from app.cli.status_command import StatusOptions
from app.core.clock import utc_now
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry.models import State
from app.settings import Settings, SettingsError
from tests.support.probers import hear, name_vantage, register_prober
from tests.support.status import add_site, open_committed


@pytest.fixture(scope="module")
async def settings(server_url: str, migrated_template: str) -> AsyncIterator[Settings]:
    """Of a database with a site of each state; the degraded one is of another provider, technology and district."""
    async with open_committed(server_url, migrated_template) as (url, _, sessions):
        await add_sites(sessions)
        yield Settings(database_url=url)


async def add_sites(sessions: Sessions) -> None:
    for number, state in enumerate(State):
        site = await add_site(sessions, f"198.51.100.{number + 20}")
        async with transaction(sessions) as session:
            await session.execute(
                text(
                    "UPDATE site_status SET state = :state, since = :now, evidence_at = :now, valid_s = 3600, "
                    "version = 2 WHERE site_id = :id"
                ),
                {"state": state.value, "now": utc_now(), "id": site},
            )
            if state is State.DEGRADED:
                await session.execute(text("INSERT INTO provider (slug, name) VALUES ('iconplus', 'Icon+')"))
                await session.execute(
                    text(
                        "UPDATE site SET technology = 'geo', village_code = '64.03.01.2001', provider_id = "
                        "(SELECT id FROM provider WHERE slug = 'iconplus') WHERE id = :id"
                    ),
                    {"id": site},
                )


async def lines(settings: Settings, as_json: bool = False, /, **options: str) -> list[str]:
    said: list[str] = []
    await status_command.run(settings, StatusOptions(**options), watch=False, as_json=as_json, say=said.append)
    return said


async def as_json(settings: Settings, **options: str) -> dict[str, Any]:
    (line,) = await lines(settings, True, **options)
    return json.loads(line)  # type: ignore[no-any-return]


async def test_it_counts_all_and_lists_what_is_down_unreachable_or_degraded(settings: Settings) -> None:
    summary, *listed = await lines(settings)
    assert "Kalimantan Timur: 5 sites  up 1  degraded 1  down 1  unreachable 1  unknown 1" in summary
    assert [line.split()[0] for line in listed] == ["down", "unreachable", "degraded"]
    assert listed[2].endswith(", Kabupaten Berau")


@pytest.mark.parametrize(
    ("options", "count", "states"),
    [
        ({"region": "64.03"}, 1, ["degraded"]),
        ({"region": "64.02,64.03"}, 5, ["down", "unreachable", "degraded"]),
        ({"provider": "telkom-wms"}, 4, ["down", "unreachable"]),
        ({"technology": "geo, leo"}, 1, ["degraded"]),
        ({"state": "unknown,up"}, 5, ["unknown", "up"]),
        ({"provider": "iconplus", "state": "down"}, 1, []),
    ],
)
async def test_filters_narrow_what_it_counts_and_lists(
    settings: Settings, options: dict[str, str], count: int, states: list[str]
) -> None:
    summary, *listed = await lines(settings, **options)
    assert f": {count} sites" in summary
    assert [line.split()[0] for line in listed] == states
    told = await as_json(settings, **options)
    assert (told["total"], [site["state"] for site in told["sites"]]) == (count, states)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"region": "6402"}, "--region 6402: did you mean 64.02?"),
        ({"provider": "telkom"}, "--provider telkom: did you mean telkom-wms?"),
        ({"technology": "wifi"}, "--technology wifi: not one of: fiber, radio, cellular, leo, geo"),
        ({"state": "down,offline"}, "--state offline: not one of: up, degraded, down, unreachable, unknown"),
    ],
)
async def test_an_unknown_value_is_named(settings: Settings, options: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("?", r"\?").replace("+", r"\+")):
        await lines(settings, **options)


async def test_json_has_the_same_fields_whatever_it_says(settings: Settings) -> None:
    told = await as_json(settings)
    always = ["generated_at", "data_age_s", "blind_since", "prober_findings", "regions", "total", "states", "sites"]
    assert list(told) == always
    assert told["states"] == {"up": 1, "degraded": 1, "down": 1, "unreachable": 1, "unknown": 1}
    assert (told["regions"], told["data_age_s"], told["blind_since"]) == (["64"], None, None)
    assert {"code", "name", "state", "since", "provider", "technology", "incident_id"} <= told["sites"][0].keys()
    assert list(await as_json(settings, region="64.01")) == list(told)


async def test_a_long_list_says_how_many_more_there_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_command, "MAX_LISTED", 0)
    _, *listed = await lines(settings)
    assert listed == [
        f"  and 1 more {state}: see them all with --json" for state in ("down", "unreachable", "degraded")
    ]


async def test_probers_are_told_of_once_there_are_any(settings: Settings) -> None:
    assert (await as_json(settings))["prober_findings"] == []
    engine = open_engine(str(settings.database_url), name="test")
    async with open_sessions(engine)() as session:
        await name_vantage(session, 1, "telkom")
        await register_prober(session, "office", 1, silent_s=90)
        told = (await lines(settings))[1:3]
        doctor = await check_probers(settings)
        await hear(session, 1)
        healthy = await check_probers(settings)
    await engine.dispose()
    assert told == [
        "  0 of 1 probers live, at 1 vantage",
        "  not heard for 1 min 30 s or longer: office (telkom) (see `sinyal doctor`)",
    ]
    assert (await as_json(settings))["prober_findings"] == []
    assert (doctor.status, "office (telkom)" in doctor.text) == (CheckStatus.WARN, True), doctor
    assert (healthy.status, healthy.text) == (CheckStatus.OK, "probers: 1 of 1 probers live, at 1 vantage")
