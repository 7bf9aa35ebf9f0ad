"""A real Prometheus scrapes a running demo, and counts what the service counts."""

import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.demo_process import Demo, demo, wait_for
from tests.support.prometheus_server import (
    EVERY_S,
    FOLDER,
    Prometheus,
    dashboard_queries,
    our_rules,
    program,
    scraping,
    summary_counts,
)

pytestmark = pytest.mark.real_time

SITES, NODES = 200, 3
LOSSLESS = "".join(f"[technology.{name}]\nloss_pct = 0\n" for name in ("fiber", "radio", "cellular", "leo", "geo"))
SCRIPT = f"""
seed = 11
interval_s = 10
sites = {SITES}
nodes = {NODES}
{LOSSLESS}
[[event]]
kind = "outage"
start_s = 15
duration_s = 3600
select = {{ fraction = 0.4, kind = "access_point" }}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    program("prometheus")
    with demo(tmp_path_factory.mktemp("demo") / "data", SCRIPT) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(running: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """From when the outage stands, so that no state changes meanwhile; after a few scrapes."""
    wait_for(lambda: _stands(running), 120)
    with scraping(running, tmp_path_factory.mktemp("prometheus") / "config") as prometheus:
        time.sleep(5 * EVERY_S)
        yield prometheus


def _stands(running: Demo) -> bool:
    sites = running.get("/status")["sites"]
    stricken = {code for event in running.truth() for code in event["sites"]}
    wanted = {True: "down", False: "up"}
    return bool(stricken) and all(site["state"] == wanted[site["code"] in stricken] for site in sites)


def summary(running: Demo) -> dict[str, Any]:
    return running.get("/status/summary")  # type: ignore[no-any-return]


def test_the_targets_are_up(prometheus: Prometheus) -> None:
    assert prometheus.targets() == {"sinyal": "up", "sinyal-sites": "up"}
    failed = prometheus.query(f"min_over_time(up[{EVERY_S * 5}s]) == 0")
    assert failed == []


def test_the_share_of_sites_up_is_that_of_the_summary(running: Demo, prometheus: Prometheus) -> None:
    told = summary(running)
    shares = prometheus.values("all:sinyal_sites_up:ratio"), prometheus.values("all:sinyal_sites_known:ratio")
    assert summary_counts(summary(running)) == summary_counts(told), "it stands"
    states = told["region"]["states"]
    assert told["region"]["sites"] == SITES
    assert states["down"] > SITES / 4
    assert shares == ({(): states["up"] / SITES}, {(): 1.0})
    assert prometheus.counts() == summary_counts(told)
    districts = prometheus.values("district:sinyal_sites_up:ratio", "district")
    expected = {child["code"]: child["states"]["up"] / child["sites"] for child in told["children"] if child["sites"]}
    assert districts == {(code,): pytest.approx(share) for code, share in expected.items()}


def test_figures_are_there_for_the_sites_that_have_them(running: Demo, prometheus: Prometheus) -> None:
    sites = running.sites()
    rtt = prometheus.values("sinyal_site_rtt_seconds", "site")
    assert rtt.keys() == {(code,) for code, site in sites.items() if site["state"] == "up"}
    assert 0.005 < min(rtt.values()) < max(rtt.values()) < 2
    loss = prometheus.values("sinyal_site_loss_ratio", "site")
    assert max(loss[code,] for code, site in sites.items() if site["state"] == "up") < 0.1
    assert {loss[code,] for code, site in sites.items() if site["state"] == "down"} == {1}
    seen = prometheus.values("time() - sinyal_site_last_seen_timestamp_seconds", "site")
    assert all(age < 40 for (code,), age in seen.items() if sites[code]["state"] == "up")


def test_every_rule_is_evaluated_and_the_outage_raises_its_alert(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    alerts = {rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] != "inactive"}
    assert "SinyalDistrictDown" in alerts
    assert alerts <= {"SinyalDistrictDown", "SinyalProviderDown"}, "nothing else is wrong"


def test_whatever_rules_and_dashboards_name_is_there(prometheus: Prometheus) -> None:
    present = set(prometheus.get("label/__name__/values"))
    named = set(re.findall(r"\bsinyal_[a-z_]+|\bprocess_[a-z_]+", "\n".join([our_rules(), *dashboard_queries()])))
    recorded = {name for name in named if re.search(rf":{name}:", our_rules())}
    assert len(named) > 20
    assert named - recorded - present == set()
    unanswered = [asked for asked in dashboard_queries() if not prometheus.query(asked)]
    assert unanswered == []


def test_rules_do_what_their_own_tests_say() -> None:
    argv = [program("promtool"), "test", "rules", "sinyal.rules.test.yml"]
    tested = subprocess.run(argv, cwd=FOLDER, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    asked = (FOLDER / "sinyal.rules.test.yml").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"alert: (\w+)", our_rules()) if name not in asked] == []
