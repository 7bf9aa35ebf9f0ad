"""The dashboards in config/grafana: every question in them is asked, of real tables and by Prometheus' own parser."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.models import AvailabilityDay, RegionAvailabilityDay
from app.core.clock import WITA, utc_now
from app.latency.models import RegionDay
from app.profiles import Technology
from app.registry.models import Site
from app.settings import CONFIG_DIR
from tests.conftest import Cast
from tests.factories import register
from tests.support.incident_scenario import IncidentScenario
from tests.support.prometheus_server import dashboard_queries, program
from tests.support.status import beat, judge, publish

FOLDER = CONFIG_DIR / "grafana"


def panels(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each question with its panel's title."""
    board = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


def as_grafana_asks(sql: str, start: datetime, end: datetime) -> str:
    """With its macros replaced as Grafana replaces them."""
    first, last = (f"'{moment.isoformat().replace('+00:00', 'Z')}'" for moment in (start, end))
    sql = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN {first} AND {last}", sql)
    sql = re.sub(r"\$__timeGroup\(([^,)]+), *'1h'\)", r"floor(extract(epoch from \1)/3600)*3600", sql)
    sql = sql.replace("$__timeFrom()", first).replace("$__timeTo()", last)
    sql = sql.replace("${district:sqlstring}", "'64.02','64.03'")
    assert "$" not in sql, sql
    return sql


async def ask(session: AsyncSession, sql: str) -> list[dict[str, Any]]:
    now = utc_now()
    asked = as_grafana_asks(sql, now - timedelta(days=30), now)
    rows = await (await session.connection()).exec_driver_sql(asked)
    return [dict(row) for row in rows.mappings()]


async def play_grafana(session: AsyncSession) -> None:
    """From here on with no more rights than reader.sql gives, as a role that we may play: we cannot create any."""
    if not await session.scalar(text("SELECT pg_has_role('pg_monitor', 'MEMBER')")):
        pytest.skip("the tests' role is no member of pg_monitor: GRANT pg_monitor TO it")
    create, *grants = (FOLDER / "reader.sql").read_text(encoding="utf-8").rstrip(";\n").split(";\n")
    assert create.endswith("CREATE ROLE sinyal_grafana LOGIN")
    for grant in grants:
        await session.execute(text(grant.replace("TO sinyal_grafana", "TO pg_monitor")))
    await session.execute(text("SET LOCAL ROLE pg_monitor"))


async def count_some(session: AsyncSession, site_id: int) -> None:
    """A day of every kind that the service counts."""
    site = await session.get_one(Site, site_id)
    day = utc_now().astimezone(WITA).date() - timedelta(days=1)
    seconds = {
        "up": 80_000,
        "degraded": 0,
        "down": 6_400,
        "unreachable": 0,
        "unknown": 0,
        "maintenance": 0,
        "claimed": 0,
        "outages": 1,
        "longest_outage_s": 6_400,
        "countable_down_s": 6_400,
        "contract_s": 0,
        "down_by_cause": {},
    }
    session.add(
        AvailabilityDay(
            day=day,
            site_id=site.id,
            provider_id=site.provider_id,
            technology=Technology.FIBER,
            village_code=site.village_code,
            inactive=0,
            **seconds,
        )
    )
    for provider_id, technology in ((0, "all"), (0, "fiber"), (site.provider_id, "all")):
        session.add(
            RegionAvailabilityDay(
                region_code="64.02", provider_id=provider_id, technology=technology, day=day, **seconds
            )
        )
    session.add(
        RegionDay(
            region_code="64",
            provider_id=0,
            technology="fiber",
            day=day,
            sent=100,
            received=98,
            rtt_sum=98 * 21_000,
            jitter_sum=0,
            jitter_count=0,
            rtt_min=20_000,
            rtt_max=22_000,
            bucket=[250],
            upto=[98],
        )
    )
    await session.flush()


async def test_every_question_to_postgresql_is_answered_with_the_readers_rights_alone(
    scenario: IncidentScenario, session: AsyncSession
) -> None:
    site = await scenario.site()
    await scenario.write(site, (-60, 600, "up"), (600, None, "down"))
    await judge(session, site, "down")
    await beat(session)
    async with session.begin():
        await count_some(session, site)
        await play_grafana(session)
        for title, target in panels("sinyal-postgresql.json"):
            assert await ask(session, target["rawSql"]), title


async def test_the_dashboards_counts_are_the_services_own(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    for number, (state, age_s) in enumerate((("up", 0), ("degraded", 0), ("down", 0), ("up", 120), ("up", 180))):
        made = await register(cast, host=f"198.51.100.{number + 20}")
        await judge(session, made["id"], state, age_s=age_s)
    await register(cast, host="198.51.100.30")
    await register(cast, host="198.51.100.31", kind="node")
    await publish(app)
    told = (await cast.vera.get("/status/summary")).json()["region"]["states"]
    (sql,) = [target["rawSql"] for title, target in panels("sinyal-postgresql.json") if title == TITLE]
    (row,) = await ask(session, sql)
    names = ("Normal", "Menurun", "Putus", "Induk putus", "Tidak diketahui")
    assert [row[name] for name in names] == list(told.values()) == [2, 1, 1, 0, 2]


TITLE = "Titik akses menurut status"


@pytest.mark.parametrize(
    "question",
    [
        "SELECT contact_name FROM site",
        "SELECT host FROM site",
        "SELECT latitude FROM site",
        "SELECT * FROM token",
        "SELECT * FROM account",
        "UPDATE site_status SET state = 'up'",
        "DELETE FROM incident",
    ],
)
async def test_the_reader_sees_no_contact_person_and_no_secret_and_changes_nothing(
    question: str, session: AsyncSession
) -> None:
    with pytest.raises(ProgrammingError, match="permission denied for table"):  # noqa: PT012
        async with session.begin():
            await play_grafana(session)
            await session.execute(text(question))


def test_prometheus_can_read_every_question_to_it(tmp_path: Path) -> None:
    asked = dashboard_queries()
    assert len(asked) > 20
    rules = [{"record": f"asked:{number}", "expr": expr} for number, expr in enumerate(asked)]
    file = tmp_path / "asked.json"  # YAML holds JSON
    file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    checked = subprocess.run([program("promtool"), "check", "rules", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["sinyal-prometheus.json", "sinyal-postgresql.json"])
def test_a_dashboard_is_whole(name: str) -> None:
    board = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not taken & cells, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]
