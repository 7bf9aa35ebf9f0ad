"""The probers of the cluster: a vantage of their own, a token each, and what their spools say was delivered."""

import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx

from app.prober.spool import FILE
from probes import reading_wire
from probes.contract import VANTAGES
from tests.benchmarks.kills import PUSHING
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import SITES
from tests.cluster.ledger import Reading
from tests.support.demo_process import wait_for

VANTAGE, NAME = 1, "kampus"
SOURCE = VANTAGES[VANTAGE]
READY_S = 60.0
# Every second site that is pinged is looked at from their vantage alone.
LOOKED_AT = f"""
    UPDATE site SET vantages = '{{{VANTAGE}}}' WHERE id > {PUSHING} AND id % 2 = 0;
    UPDATE site_configuration SET vantages = '{{{VANTAGE}}}' WHERE site_id > {PUSHING} AND site_id % 2 = 0
"""


def start_probers(cluster: Cluster, token: str) -> None:
    """Register them over the API, as a person would, and start them."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{cluster.pages_url}/api/v1"
    with httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
        wait_for(lambda: client.get(f"{cluster.pages_url}/readyz").is_success, READY_S, every_s=0.5)
        label = {"name": NAME, "label": "Jaringan kampus"}
        client.put(f"/vantages/{VANTAGE}", json=label).raise_for_status()
        for name in SITES:
            made = client.post("/probers", json={"name": name, "vantage": NAME}).raise_for_status().json()
            machine = cluster.machines[name]
            variables = {
                "SINYAL_PROBER_SERVER": cluster.devices_url,
                "SINYAL_PROBER_TOKEN": made["token"],
                "SINYAL_PROBER_DATA": str(cluster.data_dir(machine)),
            }
            cluster.start("prober", machine, [sys.executable, "-m", "app.cli", "prober"], variables)


def acknowledged(cluster: Cluster, since: float) -> set[Reading]:
    """Return what their spools keep as acknowledged, of slots from then on."""
    return {
        (int(site), datetime.fromtimestamp(int(slot), UTC), SOURCE)
        for name in SITES
        for site, slot in _spooled(cluster, name, "acked_at IS NOT NULL")
        if slot >= since
    }


def waiting(cluster: Cluster, before: float) -> int:
    """Return how many readings of slots before then are not delivered yet."""
    return sum(slot < before for name in SITES for _, slot in _spooled(cluster, name, "acked_at IS NULL"))


def _spooled(cluster: Cluster, machine: str, where: str) -> Iterator[tuple[int, int]]:
    file = cluster.data_dir(cluster.machines[machine]) / FILE
    if not file.exists():
        return
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as spool:
        for body, shift_s in spool.execute(f"SELECT body, shift_s FROM block WHERE {where}"):
            block, _ = reading_wire.decode(body)
            yield from zip(block.key.tolist(), (block.slot + shift_s).tolist(), strict=True)
    spool.close()
