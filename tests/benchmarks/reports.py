"""Drafts of all contracts' reports of a month, one after the other, from a simulated past of all villages.

Each draft holds figures, outages, restitution and the hash over the files, written to
its row; documents are made from it elsewhere. Twelve months of seven contracts are twelve times what is printed last.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select

from app.access.models import Role, Source
from app.access.scope import Caller
from app.availability import monthly_close
from app.core.clock import WITA, utc_now
from app.core.periods import last_whole_month
from app.postgres.embedded import Cluster
from app.postgres.engine import transaction
from app.registry.models import Contract, SiteContract
from app.reports import drafts
from app.reports.data_rows import read_data
from app.reports.input_schemas import ReportDraftIn
from app.reports.schemas import ReportData
from tests.support.written_history import WrittenHistory, written_history

SITES, DAYS = 1_038, 62
PROVINCE = Caller(None, "bench", Role.PROVINCE_ADMIN, "64", source=Source.CLI)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server: str) -> None:
    async with written_history(server, days=DAYS, sites=SITES, towers=30, raw_hours=1) as history:
        began = time.perf_counter()
        closing = True
        while closing:
            async with transaction(history.sessions) as session:
                closing = await monthly_close.close_months(session, utc_now())
        print(f"months closed in {time.perf_counter() - began:.1f} s")
        await _draft_all(history)


async def _draft_all(history: WrittenHistory) -> None:
    month = last_whole_month(utc_now()).start.astimezone(WITA)
    sites = select(Contract.id, func.count(SiteContract.site_id.distinct())).join(SiteContract)
    async with transaction(history.sessions) as session:
        contracts = (await session.execute(sites.group_by(Contract.id).order_by(func.count().desc()))).all()
    whole_s = cpu_s = 0.0
    for contract_id, count in contracts:
        began, cpu = time.perf_counter(), time.process_time()
        async with transaction(history.sessions) as session:
            body = ReportDraftIn(period=f"{month:%Y-%m}")
            report = await drafts.create_draft(session, contract_id, body, caller=PROVINCE, now=utc_now())
        took, used = time.perf_counter() - began, time.process_time() - cpu
        whole_s, cpu_s = whole_s + took, cpu_s + used
        data = read_data(report)
        assert isinstance(data, ReportData)
        size = len(report.data) / 1024
        print(
            f"contract {contract_id}: {count} sites, {len(data.outages)} outages: {took:.2f} s ({used:.2f} s CPU), "
            f"{size:.0f} kB, restitution Rp {data.totals.restitution_idr:,}"
        )
    print(f"{len(contracts)} contracts: {whole_s:.1f} s ({cpu_s:.1f} s CPU); times twelve {12 * whole_s:.0f} s")
