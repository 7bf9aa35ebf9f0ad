"""The product end to end: `sinyal demo` in a process of its own, real ICMP, real PostgreSQL, real kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import drop_database, make_database
from tests.support.demo_process import Demo, demo, free_port, processes_below, wait_for
from tests.support.imports import HEADER

pytestmark = pytest.mark.real_time

OUTAGE_FROM_S, OUTAGE_S = 60, 45  # by when a busy machine has started the worker
PATIENCE_S = 300
STRICKEN = ("64.01.01.2010-01", "64.01.01.2011-01")
SCRIPT = f"""
seed = 7
interval_s = 10
sites = 60
[technology.fiber]
rtt_ms = 20
loss_pct = 0
[technology.leo]
loss_pct = 0
[technology.cellular]
loss_pct = 0
[[event]]
kind = "outage"
start_s = {OUTAGE_FROM_S}
duration_s = {OUTAGE_S}
select = {{ sites = {list(STRICKEN)} }}
[[event]]
kind = "blind"
start_s = 140
duration_s = 20
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo") / "data", SCRIPT) as running:
        yield running


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def event(running: Demo, kind: str) -> dict[str, Any]:
    """The completed line of an event, or the line of its beginning."""
    return [line for line in running.truth() if line["kind"] == kind][-1]


def period(running: Demo, code: str) -> dict[str, Any]:
    return running.get(f"/sites/{code}/uptime", period="1h")["total"]  # type: ignore[no-any-return]


def require_whole(running: Demo) -> None:
    """The seconds of every site add up to the period, exactly."""
    for code in running.sites():
        total = period(running, code)
        length = moment(total["end"]) - moment(total["start"])
        assert sum(total["seconds"].values()) == length, code


def test_every_village_of_the_script_is_up_with_the_latency_of_its_technology(running: Demo) -> None:
    wait_for(lambda: all(site["state"] == "up" for site in running.sites().values()), PATIENCE_S)
    sites = running.sites()
    assert len(sites) == 60
    fibre = [site["rtt_ms"] for site in sites.values() if site["technology"] == "fiber"]
    assert sorted(fibre)[len(fibre) // 2] == pytest.approx(20, abs=2)


def test_a_site_registered_over_rest_is_measured_at_once(running: Demo) -> None:
    body = {
        "village_code": "64.02.05.2003",
        "technology": "fiber",
        "provider": "iconplus",
        "probe": "icmp",
        "host": "127.99.1.1",
    }
    answer = running.client.post("/sites", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    wait_for(lambda: running.sites()[made["code"]]["state"] == "up", PATIENCE_S)
    assert running.client.delete(f"/sites/{made['id']}").status_code == 204
    wait_for(lambda: made["code"] not in running.sites(), PATIENCE_S)


def test_the_command_line_imports_an_address_that_the_demos_api_accepts(running: Demo, tmp_path: Path) -> None:
    file = tmp_path / "desa.csv"
    file.write_text(f"{HEADER}\n64.02.05.2004;satelit GEO (VSAT);Icon+;icmp;127.99.1.2\n")
    env = os.environ | {"SINYAL_DATA_DIR": str(running.folder)}
    argv = [sys.executable, "-m", "app.cli", "import", "sites", "--dry-run", "--lang", "en", str(file)]
    process = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, ""), process.stdout
    assert process.stdout.startswith("create 1")


def test_an_outage_is_detected_dated_and_ended_by_the_evidence(running: Demo) -> None:
    wait_for(lambda: event(running, "outage"), PATIENCE_S)
    began = moment(event(running, "outage")["started_at"])
    wait_for(lambda: all(running.sites()[code]["state"] == "down" for code in STRICKEN), OUTAGE_S)
    wait_for(lambda: event(running, "outage")["ended_at"], PATIENCE_S)
    ended = moment(event(running, "outage")["ended_at"])
    wait_for(lambda: all(running.sites()[code]["state"] == "up" for code in STRICKEN), PATIENCE_S)
    for code in STRICKEN:
        segments = running.get(f"/sites/{code}/segments", period="1h")["items"]
        (down,) = [segment for segment in segments if segment["state"] == "down"]
        assert 0 <= moment(down["started_at"]) - (began - 3) <= 13, "dated to the first lost slot"
        assert moment(down["last_ok_at"]) <= began <= moment(down["started_at"]) + 3
        assert moment(down["last_ok_at"]) < ended <= moment(down["first_ok_after"]) + 5
    others = [code for code, site in running.sites().items() if code not in STRICKEN]
    assert sum(period(running, code)["seconds"]["down"] for code in others) == 0


def test_our_own_blindness_is_no_outage_of_a_village(running: Demo) -> None:
    wait_for(lambda: event(running, "blind"), PATIENCE_S)
    wait_for(lambda: event(running, "blind")["ended_at"], PATIENCE_S)
    down = sum(period(running, code)["seconds"]["down"] for code in running.sites() if code not in STRICKEN)
    assert down == 0
    wait_for(lambda: all(site["state"] == "up" for site in running.sites().values()), PATIENCE_S)
    metrics = running.client.get(f"{running.url}/metrics").text
    silences = next(line for line in metrics.splitlines() if line.startswith("sinyal_worker_canary_silences_total"))
    assert float(silences.split()[1]) >= 5


def test_a_worker_that_was_frozen_was_stopped(running: Demo) -> None:
    wait_for(lambda: all(site["state"] == "up" for site in running.sites().values()), PATIENCE_S)
    worker, frozen_at = running.child("worker"), time.time()
    os.kill(worker, signal.SIGSTOP)
    try:
        time.sleep(12)  # longer than an interval; a supervisor that restarts it comes to the same
    finally:
        os.kill(worker, signal.SIGCONT)
    thawed_at = time.time()
    wait_for(lambda: all(moment(site["last_seen_at"]) > thawed_at for site in running.sites().values()), PATIENCE_S)
    since = datetime.fromtimestamp(frozen_at, UTC).isoformat()
    reasons = {
        segment["unknown_reason"]
        for code in running.sites()
        for segment in running.get(f"/sites/{code}/segments", **{"from": since})["items"]
        if segment["state"] != "up"
    }
    assert reasons == {"stopped"}


@pytest.mark.parametrize("victim", ["worker", "api", "database"])
def test_a_kill_is_survived_and_nothing_acknowledged_is_lost(running: Demo, victim: str) -> None:
    def register(number: int) -> str | None:
        body = {
            "village_code": "64.03.01.2001",
            "technology": "fiber",
            "provider": "iconplus",
            "probe": "icmp",
            "host": f"127.98.{['worker', 'api', 'database'].index(victim)}.{number}",
        }
        try:
            answer = running.client.post("/sites", json=body)
            return str(answer.json()["code"]) if answer.status_code == 201 else None
        except Exception:  # not acknowledged
            return None

    wait_for(lambda: len(running.sites()) == 60, PATIENCE_S)
    before, downs = running.child(victim), {code: period(running, code)["seconds"]["down"] for code in running.sites()}
    acknowledged = [register(number) for number in range(1, 20)]
    os.kill(before, signal.SIGKILL)
    acknowledged += [register(number) for number in range(20, 60)]

    def recovered() -> bool:
        ready = running.client.get(f"{running.url}/readyz")
        age = ready.json()["worker_beat_age_s"]
        return ready.status_code == 200 and running.child(victim) != before and age < 3

    wait_for(recovered, PATIENCE_S)
    registered = {code for code in acknowledged if code}
    wait_for(lambda: registered <= set(running.sites()), PATIENCE_S)
    wait_for(lambda: all(running.sites()[code]["state"] == "up" for code in downs), PATIENCE_S)
    assert {code: period(running, code)["seconds"]["down"] for code in downs} == downs
    require_whole(running)
    for code in registered:
        running.client.delete(f"/sites/{code}")
    wait_for(lambda: len(running.sites()) == 60, PATIENCE_S)


def test_readings_made_while_the_database_hangs_are_stored_when_it_is_back(running: Demo) -> None:
    wait_for(lambda: len(running.sites()) == 60, PATIENCE_S)
    codes = list(running.sites())
    before = {code: period(running, code)["seconds"]["down"] for code in codes}
    server = processes_below(running.child("database"))
    for pid in server:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(40)
        assert running.client.get("/status").status_code == 200
        assert {site["state"] for site in running.sites().values()} == {"unknown"}, "older than 2.5 intervals"
        assert running.client.get("/sites").status_code == 503
    finally:
        for pid in server:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: {site["state"] for site in running.sites().values()} == {"up"}, PATIENCE_S)
    assert {code: period(running, code)["seconds"]["down"] for code in codes} == before
    for code in codes:
        readings = running.get(f"/sites/{code}/measurements", period="1h", limit=1000)["items"]
        slots = [moment(reading["slot"]) for reading in readings if moment(reading["slot"]) > time.time() - 60]
        assert all(later - earlier <= 10 for earlier, later in pairwise(slots)), code


@pytest.fixture
async def own_database(server_url: str) -> AsyncIterator[dict[str, str]]:
    """The settings of a demo on the tests' own server, where there is one: embedded otherwise."""
    if "host=/" not in os.environ.get("SINYAL_DATABASE_URL", ""):
        yield {}  # the simulated worker reaches no TCP
        return
    url = await make_database(server_url)
    yield {"SINYAL_DATABASE_URL": url}
    await drop_database(url, server_url)


def test_after_a_stop_the_gap_is_unknown_and_the_shutdown_is_orderly(
    tmp_path: Path, own_database: dict[str, str]
) -> None:
    script = "seed = 3\ninterval_s = 5\nsites = 14\nagents = true\n"  # five of them report themselves
    with demo(tmp_path / "data", script, **own_database) as first:
        wait_for(lambda: all(site["state"] == "up" for site in first.sites().values()), PATIENCE_S)
        code = next(iter(first.sites()))
        first.stop()
        assert first.process.returncode == 0
    stopped = time.time()
    time.sleep(20)
    with demo(tmp_path / "data", script, **own_database) as second:
        wait_for(lambda: all(site["state"] == "up" for site in second.sites().values()), PATIENCE_S)
        segments = second.get(f"/sites/{code}/segments", period="1h")["items"]
        (gap,) = [s for s in segments if s["unknown_reason"] == "stopped"]
        assert moment(gap["started_at"]) < stopped + 8
        assert gap["duration_s"] >= 12
        require_whole(second)
        backup_round_trip(second, tmp_path, own_database)


def backup_round_trip(running: Demo, folder: Path, settings: dict[str, str]) -> None:
    """`sinyal backup` while it runs, and `sinyal restore` once it has stopped."""
    env = os.environ | {"SINYAL_DATA_DIR": str(running.folder)} | settings
    file = str(folder / "copy.dump")

    def sinyal(*words: str) -> Any:
        return subprocess.run([sys.executable, "-m", "app.cli", *words], env=env, capture_output=True, text=True)

    assert sinyal("backup", file).returncode == 0
    refused = sinyal("restore", file)
    assert (refused.returncode, "a worker is running" in refused.stderr) == (2, True)
    running.stop()
    restored = sinyal("restore", file)
    assert restored.returncode == 0, restored.stderr


def test_a_database_out_of_the_simulated_workers_reach_is_refused_in_one_line(tmp_path: Path) -> None:
    env = os.environ | {"SINYAL_DATA_DIR": str(tmp_path / "data"), "SINYAL_DATABASE_URL": "postgresql://db.example/x"}
    argv = [sys.executable, "-m", "app.cli", "demo", "--port", str(free_port())]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "Unix socket" in ended.stderr
