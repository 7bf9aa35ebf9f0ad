"""A real Prometheus scrapes a running demo, and counts what the service counts."""

import math
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.delivering_probers import beat_of
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
PATIENCE_S = 300
LOSSLESS = "".join(f"[technology.{name}]\nloss_pct = 0\n" for name in ("fiber", "radio", "cellular", "leo", "geo"))
SCRIPT = f"""
seed = 11
interval_s = 10
sites = {SITES}
nodes = {NODES}
{LOSSLESS}
[[event]]
kind = "outage"
start_s = 40
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
    """From when the outage is known. What a loaded machine adds to it, both sides have to count alike."""
    wait_for(lambda: summary(running)["region"]["states"]["down"] > SITES / 4, PATIENCE_S)
    with scraping(running, tmp_path_factory.mktemp("prometheus") / "config") as prometheus:
        yield prometheus


def summary(running: Demo) -> dict[str, Any]:
    return running.get("/status/summary")  # type: ignore[no-any-return]


def test_the_targets_are_up(prometheus: Prometheus) -> None:
    def up_for_five_scrapes() -> bool:
        lasting = prometheus.values(f"min_over_time(up[{EVERY_S * 5}s])", "job")
        counted = prometheus.values(f"count_over_time(up[{EVERY_S * 5}s])", "job")
        return set(lasting.values()) == {1.0} and min(counted.values()) >= 4

    wait_for(up_for_five_scrapes, PATIENCE_S)
    assert prometheus.targets().keys() == {"sinyal", "sinyal-sites"}


def test_the_share_of_sites_up_is_that_of_the_summary(running: Demo, prometheus: Prometheus) -> None:
    def agree() -> bool:
        told = summary(running)
        assert prometheus.counts() == summary_counts(told)
        assert prometheus.values("all:sinyal_sites_up:ratio") == {(): up_share(told["region"]["states"])}
        assert prometheus.values("all:sinyal_sites_known:ratio") == {(): known_share(told["region"]["states"])}
        districts = prometheus.values("district:sinyal_sites_up:ratio", "district")
        expected = {child["code"]: up_share(child["states"]) for child in told["children"] if child["sites"]}
        assert districts == {(code,): pytest.approx(share, nan_ok=True) for code, share in expected.items()}
        assert told["region"]["sites"] == SITES
        assert told["region"]["states"]["down"] > SITES / 4
        return True

    wait_for(agree, PATIENCE_S)


def up_share(states: dict[str, int]) -> float:
    known = sum(states.values()) - states["unknown"]
    return (states["up"] + states["degraded"]) / known if known else math.nan


def known_share(states: dict[str, int]) -> float:
    return 1 - states["unknown"] / sum(states.values())


def test_figures_are_there_for_the_sites_that_have_them(running: Demo, prometheus: Prometheus) -> None:
    """Readings change while both are asked: each site's figures have to agree once."""
    agreed: dict[str, dict[str, Any]] = {}

    def agree() -> bool:
        rtt = prometheus.values("sinyal_site_rtt_seconds", "site")
        loss = prometheus.values("sinyal_site_loss_ratio", "site")
        seen = prometheus.values("sinyal_site_last_seen_timestamp_seconds", "site")
        for code, site in running.sites().items():
            if figures_of(site) == tuple(values.get((code,)) for values in (rtt, loss, seen)):
                agreed[code] = site
        assert agreed.keys() == running.sites().keys()
        return True

    wait_for(agree, PATIENCE_S)
    up = [site for site in agreed.values() if site["state"] == "up"]
    down = [site for site in agreed.values() if site["state"] == "down"]
    round_trips = [site["rtt_ms"] for site in up if site["rtt_ms"] is not None]
    assert len(round_trips) > SITES / 4
    assert min(round_trips) > 5
    assert {site["loss_pct"] for site in down} == {100}


def figures_of(site: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return what Prometheus should hold of a site: round trip, loss and last answer, in its units."""
    rtt_ms, loss_pct, seen_at = site["rtt_ms"], site["loss_pct"], site["last_seen_at"]
    return (
        None if rtt_ms is None else pytest.approx(rtt_ms / 1000),
        None if loss_pct is None else pytest.approx(loss_pct / 100, abs=0.001),
        None if seen_at is None else datetime.fromisoformat(seen_at).timestamp(),
    )


def test_every_rule_is_evaluated_and_the_outage_raises_its_alert(prometheus: Prometheus) -> None:
    def evaluated() -> set[str]:
        return {rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]}

    wait_for(lambda: evaluated() == {"ok"}, PATIENCE_S)

    def nothing_else_is_wrong() -> bool:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        alerts = {rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] != "inactive"}
        if sum(prometheus.values("sinyal_worker_missed_slots_total", "instance").values()):
            alerts.discard("SinyalRoundsLate")  # it tells the truth of a machine under load
        assert "SinyalDistrictDown" in alerts
        assert alerts <= {"SinyalDistrictDown", "SinyalProviderDown"}
        return True

    wait_for(nothing_else_is_wrong, PATIENCE_S)


def report_a_prober(running: Demo) -> None:
    """Of another vantage than the built-in one, which has no figures of its own."""
    client = running.client
    assert client.put("/vantages/1", json={"name": "telkom", "label": "Telkom"}).is_success
    made = client.post("/probers", json={"name": "samarinda-1", "vantage": "telkom"}).json()
    beat = beat_of("p1", started_at=datetime.now(UTC))
    answer = client.post("/prober/beat", json=beat, headers={"Authorization": f"Bearer {made['token']}"})
    assert answer.is_success, answer.text


def test_whatever_rules_and_dashboards_name_is_there(running: Demo, prometheus: Prometheus) -> None:
    report_a_prober(running)
    wait_for(lambda: prometheus.query("sinyal_prober_live"), PATIENCE_S)
    present = set(prometheus.get("label/__name__/values"))
    named = set(re.findall(r"\bsinyal_[a-z_]+|\bprocess_[a-z_]+", "\n".join([our_rules(), *dashboard_queries()])))
    recorded = {name for name in named if re.search(rf":{name}:", our_rules())}
    assert len(named) > 20
    assert named - recorded - present == set()
    wait_for(lambda: all(map(prometheus.query, dashboard_queries())), PATIENCE_S)


def test_rules_do_what_their_own_tests_say() -> None:
    argv = [program("promtool"), "test", "rules", "sinyal.rules.test.yml"]
    tested = subprocess.run(argv, cwd=FOLDER, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    asked = (FOLDER / "sinyal.rules.test.yml").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"alert: (\w+)", our_rules()) if name not in asked] == []
