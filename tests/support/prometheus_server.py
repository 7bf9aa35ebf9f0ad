"""A real Prometheus beside a running demo, with our configuration of config/prometheus."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import CONFIG_DIR
from tests.support.demo_process import Demo, free_port, wait_for

FOLDER = CONFIG_DIR / "prometheus"
EVERY_S = 2

Counts = dict[
    str, dict[tuple[str, ...], int]
]  # access points by dimension, then by its value (none for `all`) and state


def program(name: str) -> str:
    counts = shutil.which(name)
    if counts is None:
        pytest.skip(f"{name} is missing: apt-get install prometheus")
    return counts


class Prometheus:
    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, promql: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the samples of a PromQL query."""
        when = {} if at is None else {"time": at}
        return self.get("query", query=promql, **when)["result"]  # type: ignore[no-any-return]

    def values(self, promql: str, *labels: str, at: float | None = None) -> dict[tuple[str, ...], float]:
        """Return the values by the given labels."""
        samples = self.query(promql, at)
        return {tuple(item["metric"][label] for label in labels): float(item["value"][1]) for item in samples}

    def counts(self, *, at: float | None = None) -> Counts:
        counts = {}
        for by in ("all", "district", "technology", "provider"):
            labels = ("state",) if by == "all" else (by, "state")
            query = f'sum by ({", ".join(labels)}) (sinyal_site_state{{kind="access_point"}})'
            counts[by] = {key: int(value) for key, value in self.values(query, *labels, at=at).items()}
        return counts

    def targets(self) -> dict[str, str]:
        """Return the health of the targets by job."""
        return {item["labels"]["job"]: item["health"] for item in self.get("targets")["activeTargets"]}


@contextmanager
def scraping(running: Demo, folder: Path, *, every_s: int = EVERY_S) -> Iterator[Prometheus]:
    """Run Prometheus with our configuration and rules; only the targets and the interval are changed."""
    shutil.copytree(FOLDER, folder)
    (folder / "sinyal.token").write_text(running.token)
    config = folder / "prometheus.yml"
    text = config.read_text()
    for ours, theirs in (
        ("127.0.0.1:8000", running.url.removeprefix("http://")),
        ("127.0.0.1:8001", running.ingest_url.removeprefix("http://")),
        ("15s", f"{every_s}s"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    config.write_text(text)
    checked = subprocess.run([program("promtool"), "check", "config", str(config)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    port = free_port()
    argv = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    prometheus = Prometheus(port)
    try:
        wait_for(lambda: set(prometheus.targets().values()) == {"up"}, 120)
        yield prometheus
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        prometheus.client.close()


def summary_counts(summary: dict[str, Any]) -> Counts:
    """Return the same counts from /status/summary."""
    named = {
        "district": [(child["code"], child["states"]) for child in summary["children"] if child["sites"]],
        "technology": [(item["technology"], item["states"]) for item in summary["technologies"]],
        "provider": [(item["provider"], item["states"]) for item in summary["providers"]],
    }
    counts: Counts = {"all": {(state,): count for state, count in summary["region"]["states"].items()}}
    for by, groups in named.items():
        counts[by] = {(name, state): count for name, states in groups for state, count in states.items()}
    return counts


def our_rules() -> str:
    return (FOLDER / "sinyal.rules.yml").read_text(encoding="utf-8")


def dashboard_queries() -> list[str]:
    """Return the queries of our Grafana dashboard, its variables replaced."""
    board = json.loads((CONFIG_DIR / "grafana" / "sinyal-prometheus.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [re.sub(r"\$(district|technology)\b", ".*", item.replace("$__rate_interval", "1m")) for item in queries]
