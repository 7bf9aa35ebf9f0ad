"""The product end to end: `sinyal demo` in a process of its own, real ICMP, real PostgreSQL, real kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo_process import Demo, demo, free_port, processes_below, wait_for
from tests.support.imports import HEADER

pytestmark = pytest.mark.real_time

OUTAGE_FROM_S, OUTAGE_S = 60, 45  # by when a busy machine has started the worker
patiently = partial(wait_for, timeout_s=300, every_s=1)
SITES = 24
STRICKEN = ("64.01.01.2010-01", "64.01.01.2011-01")
VILLAGES = f"""
seed = 7
interval_s = 10
sites = {SITES}
[technology.fiber]
rtt_ms = 20
loss_pct = 0
[technology.leo]
loss_pct = 0
[technology.cellular]
loss_pct = 0
"""
SCRIPT = f"""{VILLAGES}
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
    patiently(lambda: all(site["state"] == "up" for site in running.sites().values()))
    sites = running.sites()
    assert len(sites) == SITES
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
    patiently(lambda: running.sites()[made["code"]]["state"] == "up")
    assert running.client.delete(f"/sites/{made['id']}").status_code == 204
    patiently(lambda: made["code"] not in running.sites())


def test_the_command_line_imports_an_address_that_the_demos_api_accepts(running: Demo, tmp_path: Path) -> None:
    file = tmp_path / "desa.csv"
    file.write_text(f"{HEADER}\n64.02.05.2004;satelit GEO (VSAT);Icon+;icmp;127.99.1.2\n")
    env = os.environ | {"SINYAL_DATA_DIR": str(running.folder)}
    argv = [sys.executable, "-m", "app.cli", "import", "sites", "--dry-run", "--lang", "en", str(file)]
    process = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, ""), process.stdout
    assert process.stdout.startswith("create 1")


def test_an_outage_is_detected_dated_and_ended_by_the_evidence(running: Demo) -> None:
    patiently(lambda: event(running, "outage"))
    began = moment(event(running, "outage")["started_at"])
    wait_for(lambda: all(running.sites()[code]["state"] == "down" for code in STRICKEN), OUTAGE_S)
    patiently(lambda: event(running, "outage")["ended_at"])
    ended = moment(event(running, "outage")["ended_at"])
    patiently(lambda: all(running.sites()[code]["state"] == "up" for code in STRICKEN))
    for code in STRICKEN:
        segments = running.get(f"/sites/{code}/segments", period="1h")["items"]
        (down,) = [segment for segment in segments if segment["state"] == "down"]
        assert 0 <= moment(down["started_at"]) - (began - 3) <= 13, "dated to the first lost slot"
        assert moment(down["last_ok_at"]) <= began <= moment(down["started_at"]) + 3
        assert moment(down["last_ok_at"]) < ended <= moment(down["first_ok_after"]) + 5
    others = [code for code, site in running.sites().items() if code not in STRICKEN]
    assert sum(period(running, code)["seconds"]["down"] for code in others) == 0


def test_our_own_blindness_is_no_outage_of_a_village(running: Demo) -> None:
    patiently(lambda: event(running, "blind"))
    patiently(lambda: event(running, "blind")["ended_at"])
    down = sum(period(running, code)["seconds"]["down"] for code in running.sites() if code not in STRICKEN)
    assert down == 0
    patiently(lambda: all(site["state"] == "up" for site in running.sites().values()))
    metrics = running.client.get(f"{running.url}/metrics").text
    silences = next(line for line in metrics.splitlines() if line.startswith("sinyal_worker_canary_silences_total"))
    assert float(silences.split()[1]) >= 5


def test_a_worker_that_was_frozen_was_stopped(running: Demo) -> None:
    patiently(lambda: all(site["state"] == "up" for site in running.sites().values()))
    worker, frozen_at = running.child("worker"), time.time()
    os.kill(worker, signal.SIGSTOP)
    try:
        time.sleep(12)  # longer than an interval; a supervisor that restarts it comes to the same
    finally:
        os.kill(worker, signal.SIGCONT)
    thawed_at = time.time()
    patiently(lambda: all(moment(site["last_seen_at"]) > thawed_at for site in running.sites().values()))
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

    patiently(lambda: len(running.sites()) == SITES)
    before, downs = running.child(victim), {code: period(running, code)["seconds"]["down"] for code in running.sites()}
    acknowledged = [register(number) for number in range(1, 10)]
    os.kill(before, signal.SIGKILL)
    acknowledged += [register(number) for number in range(10, 30)]

    def recovered() -> bool:
        ready = running.client.get(f"{running.url}/readyz")
        age = ready.json()["worker_beat_age_s"]
        return ready.status_code == 200 and running.child(victim) != before and age < 3

    patiently(recovered)
    registered = {code for code in acknowledged if code}
    patiently(lambda: registered <= set(running.sites()))
    patiently(lambda: all(running.sites()[code]["state"] == "up" for code in downs))
    assert {code: period(running, code)["seconds"]["down"] for code in downs} == downs
    require_whole(running)
    for code in registered:
        running.client.delete(f"/sites/{code}")
    patiently(lambda: len(running.sites()) == SITES)


def test_readings_made_while_the_database_hangs_are_stored_when_it_is_back(running: Demo) -> None:
    patiently(lambda: len(running.sites()) == SITES)
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
    patiently(lambda: {site["state"] for site in running.sites().values()} == {"up"})
    assert {code: period(running, code)["seconds"]["down"] for code in codes} == before
    for code in codes:
        readings = running.get(f"/sites/{code}/measurements", period="1h", limit=1000)["items"]
        slots = [moment(reading["slot"]) for reading in readings if moment(reading["slot"]) > time.time() - 60]
        assert all(later - earlier <= 10 for earlier, later in pairwise(slots)), code


def test_after_a_stop_the_gap_is_unknown_and_the_shutdown_is_orderly(running: Demo, tmp_path: Path) -> None:
    patiently(lambda: all(site["state"] == "up" for site in running.sites().values()))
    code = STRICKEN[0]
    running.stop()
    assert running.process.returncode == 0
    stopped = time.time()
    time.sleep(20)
    with demo(running.folder, f"agents = true{VILLAGES}") as second:  # nine of them report themselves from now on
        patiently(lambda: all(site["state"] == "up" for site in second.sites().values()))
        segments = second.get(f"/sites/{code}/segments", period="1h")["items"]
        (gap,) = [s for s in segments if s["unknown_reason"] == "stopped" and moment(s["ended_at"]) > stopped]
        assert moment(gap["started_at"]) < stopped + 13
        assert gap["duration_s"] >= 12
        require_whole(second)
        backup_round_trip(second, tmp_path)
        assert second.process.returncode == 0


def backup_round_trip(running: Demo, folder: Path) -> None:
    """`sinyal backup` while it runs, and `sinyal restore` once it has stopped."""
    env = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
    env["SINYAL_DATA_DIR"] = str(running.folder)
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
