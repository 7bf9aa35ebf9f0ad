"""Statements over lists that grow with the number of sites: PostgreSQL takes 32,767 bind parameters and no more."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import daily_rollup
from app.core.clock import utc_now
from app.incidents import affected_sites, groups, reconcile
from app.incidents import store as incidents
from app.incidents.correlation import GroupKey
from app.incidents.models import IncidentSite
from app.judging import judge_context
from app.judging.dirty_range import DirtyRange
from app.judging.propagation import rejudge_with_children
from app.postgres.engine import among
from app.registry import site_contracts
from app.registry.models import Site
from app.runtime.admin_session import command_line_caller
from probes.contract import CENTRAL
from simulator.registration import create_device_tokens

IDS = range(1_000_000, 1_040_000)  # of no site
NOW = utc_now()
RANGE = NOW - timedelta(hours=1), NOW
KEYS = [GroupKey(parent_id=site_id) for site_id in IDS]

Query = Callable[[AsyncSession], Awaitable[Any]]

QUERIES: dict[str, Query] = {
    "judge_context.load": lambda session: judge_context.load(session, IDS, [CENTRAL], *RANGE),
    "rejudge_with_children": lambda session: rejudge_with_children(session, [DirtyRange(n, *RANGE) for n in IDS]),
    "affected_sites.find_affected": lambda session: affected_sites.find_affected(
        session, [DirtyRange(n, *RANGE) for n in IDS], now=NOW
    ),
    "affected_sites.load_site_outages": lambda session: affected_sites.load_site_outages(
        session, dict.fromkeys(IDS, RANGE)
    ),
    "groups.load_groups": lambda session: groups.load_groups(
        session, [IncidentSite(site_id=n, started_at=NOW) for n in IDS]
    ),
    "groups._large_groups": lambda session: groups._large_groups(session, KEYS),
    "groups._outages": lambda session: groups._outages(session, KEYS, NOW),
    "reconcile._rows_by_incident": lambda session: reconcile._rows_by_incident(session, IDS),
    "incidents.count_children": lambda session: incidents.count_children(session, IDS, caller=command_line_caller()),
    "site_contracts.load": lambda session: site_contracts.load(session, IDS),
    "_access_points": lambda session: daily_rollup._access_points(session, among(Site.id, IDS)),
    "create_device_tokens": lambda session: create_device_tokens(session, "secret", [f"none-{n}" for n in IDS]),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_forty_thousand_sites_fit_into_one_statement(session: AsyncSession, name: str) -> None:
    await QUERIES[name](session)
