"""A real Prometheus beside a running demo, set up as config/prometheus says."""

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

Counts = dict[str, dict[tuple[str, ...], int]]  # access points by what, and by its value (but for `all`) and state


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install prometheus")
    return found


class Prometheus:
    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def ask(self, promql: str, at: float | None = None) -> list[dict[str, Any]]:
        """Samples, or what a range selector finds."""
        when = {} if at is None else {"time": at}
        return self.get("query", query=promql, **when)["result"]  # type: ignore[no-any-return]

    def values(self, promql: str, *labels: str, at: float | None = None) -> dict[tuple[str, ...], float]:
        """By the values of labels."""
        samples = self.ask(promql, at)
        return {tuple(one["metric"][label] for label in labels): float(one["value"][1]) for one in samples}

    def counts(self, *, at: float | None = None) -> Counts:
        found = {}
        for by in ("all", "district", "technology", "provider"):
            labels = ("state",) if by == "all" else (by, "state")
            counts = f'sum by ({", ".join(labels)}) (sinyal_site_state{{kind="access_point"}})'
            found[by] = {key: int(value) for key, value in self.values(counts, *labels, at=at).items()}
        return found

    def targets(self) -> dict[str, str]:
        """Health by job."""
        return {one["labels"]["job"]: one["health"] for one in self.get("targets")["activeTargets"]}


@contextmanager
def scraping(running: Demo, folder: Path, *, every_s: int = EVERY_S) -> Iterator[Prometheus]:
    """Config and rules are those of config/prometheus; only what is scraped, and how often, is another."""
    shutil.copytree(FOLDER, folder)
    (folder / "sinyal.token").write_text(running.token)
    config = folder / "prometheus.yml"
    said = config.read_text()
    config.write_text(said.replace("127.0.0.1:8000", running.url.removeprefix("http://")).replace("15s", f"{every_s}s"))
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
        wait_for(lambda: set(prometheus.targets().values()) == {"up"}, 30)
        yield prometheus
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        prometheus.client.close()


def counted(summary: dict[str, Any]) -> Counts:
    """The same as /status/summary tells it."""
    named = {
        "district": [(child["code"], child["states"]) for child in summary["children"] if child["sites"]],
        "technology": [(one["technology"], one["states"]) for one in summary["technologies"]],
        "provider": [(one["provider"], one["states"]) for one in summary["providers"]],
    }
    found: Counts = {"all": {(state,): count for state, count in summary["region"]["states"].items()}}
    for by, groups in named.items():
        found[by] = {(name, state): count for name, states in groups for state, count in states.items()}
    return found


def known_rules() -> str:
    return (FOLDER / "sinyal.rules.yml").read_text(encoding="utf-8")


def dashboard_questions() -> list[str]:
    """Grafana's variables replaced."""
    board = json.loads((CONFIG_DIR / "grafana" / "sinyal-prometheus.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [re.sub(r"\$(district|technology)\b", ".*", one.replace("$__rate_interval", "1m")) for one in asked]
