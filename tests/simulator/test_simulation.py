"""The whole simulator in a namespace, pinged by real ICMP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles

import pytest

from simulator.host_plan import SimulatedHost
from simulator.journal import TRUTH
from simulator.namespace import Namespace
from simulator.process import SimulatorFailed, SimulatorProcess
from simulator.villages import CANARIES
from tests.simulator.pings import Ping, ping
from tests.support.demo_process import wait_for
from tests.support.simulator_logs import read_truth

pytestmark = pytest.mark.real_time

FIBRE = [SimulatedHost(f"127.20.0.{n}", "fiber", f"fibre-{n}", "64.02.05.2003", "telkom-wms") for n in (1, 2, 3)]
GEO = [SimulatedHost(f"127.20.1.{n}", "geo", f"geo-{n}", "64.11.01.2001", "iconplus") for n in (1, 2, 3)]
DEAD = SimulatedHost("127.20.2.1", "radio", "dead-1")
STRANGER = "127.20.3.1"
HOSTS = [*FIBRE, *GEO, DEAD]
EXACT = """
[technology.fiber]
rtt_ms = 40
jitter_ms = 0
[technology.geo]
rtt_ms = 600
jitter_ms = 0
[technology.radio]
loss_pct = 100
"""


def write(folder: Path, script: str) -> Path:
    path = folder / "script.toml"
    path.write_text(EXACT + script)
    return path


def ping_inside(
    namespace: Namespace, rounds: Sequence[Sequence[str]], *, every_s: float, wait_s: float = 0.2
) -> dict[str, list[Ping]]:
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as handle:
        return ping(handle, rounds, every_s=every_s, wait_s=wait_s)


def rtts_ms(pings: Sequence[Ping]) -> list[float]:
    return [sent.rtt_ms for sent in pings if sent.rtt_ms is not None]


def typical_ms(times_ms: Sequence[float]) -> float:
    """Return the lower quartile: a busy machine can only delay answers, and many at once."""
    return quantiles(times_ms, n=4)[0]


def test_hosts_answer_with_the_scripted_delay_or_not_at_all(namespace: Namespace, tmp_path: Path) -> None:
    addresses = [host.address for host in HOSTS] + [STRANGER, *CANARIES]
    with SimulatorProcess(namespace, data_dir=tmp_path, script=write(tmp_path, ""), hosts=HOSTS):
        seen = ping_inside(namespace, [addresses] * 30, every_s=0.03, wait_s=0.8)
    for hosts, expected_ms in ((FIBRE, 40.0), (GEO, 600.0)):
        for host in hosts:
            answered_ms = rtts_ms(seen[host.address])
            assert len(answered_ms) == 30
            assert typical_ms(answered_ms) == pytest.approx(expected_ms, abs=1.0)
            assert min(answered_ms) > expected_ms - 0.01
    assert rtts_ms(seen[DEAD.address]) == rtts_ms(seen[STRANGER]) == []
    for canary in CANARIES:
        assert typical_ms(rtts_ms(seen[canary])) == pytest.approx(2.0, abs=1.0)


def test_fping_measures_what_the_script_says(namespace: Namespace, tmp_path: Path) -> None:
    if shutil.which("fping") is None and "CI" not in os.environ:
        pytest.skip("fping is not installed")
    measure = ["fping", "-q", "-C", "10", "-p", "50", "-t", "1000", FIBRE[0].address, DEAD.address]
    with SimulatorProcess(namespace, data_dir=tmp_path, script=write(tmp_path, ""), hosts=HOSTS):
        done = subprocess.run(namespace.command(measure), capture_output=True, text=True, check=False, timeout=120)
    found = dict(line.split(" : ") for line in done.stderr.replace("  ", " ").splitlines() if " : " in line)
    answers = {host.strip(): rtts.split() for host, rtts in found.items()}
    rtts = [float(rtt) for rtt in answers[FIBRE[0].address]]
    assert len(rtts) == 10
    assert min(rtts) == pytest.approx(40.0, abs=1.0)  # the least: fping's own clock is read late on a busy machine
    assert answers[DEAD.address] == ["-"] * 10


def test_the_lost_packets_are_exactly_those_of_the_truth_log(namespace: Namespace, tmp_path: Path) -> None:
    script = write(
        tmp_path,
        """
        [[event]]
        kind = "outage"
        start_s = 0.4
        duration_s = 0.5
        select = { region = "64.02", sites = ["fibre-1"] }
        [[event]]
        kind = "blind"
        start_s = 1.2
        duration_s = 0.3
        [[event]]
        kind = "slow"
        start_s = 1.7
        duration_s = 60
        rtt_ms = 90
        select = { sites = ["fibre-2"] }
        """,
    )
    addresses = [*(host.address for host in FIBRE), *CANARIES]
    with SimulatorProcess(namespace, data_dir=tmp_path, script=script, hosts=HOSTS):
        seen = ping_inside(namespace, [addresses] * 400, every_s=0.005)
    outage, blind, slow = read_truth(tmp_path)
    assert (outage["kind"], outage["sites"]) == ("outage", ["fibre-1"])
    assert (blind["kind"], blind["sites"]) == ("blind", sorted(host.code for host in HOSTS))
    assert (slow["kind"], slow["ended_at"]) == ("slow", None)
    assert length(outage) == timedelta(seconds=0.5)
    for address, silences in (
        (FIBRE[0].address, [outage, blind]),
        (FIBRE[1].address, [blind]),
        (FIBRE[2].address, [blind]),
        (CANARIES[0], [blind]),
    ):
        check(seen[address], silences)
    since = moment(slow["started_at"])
    late = [one.rtt_ms for one in seen[FIBRE[1].address] if sent_at(one) > since and one.rtt_ms]
    assert typical_ms(late) == pytest.approx(90, abs=1)


def test_sites_behind_a_silent_node_are_silent_and_named_in_the_truth_log(namespace: Namespace, tmp_path: Path) -> None:
    tower = SimulatedHost("127.20.4.254", "fiber", "tower", "64.02.05.2001", "telkom-wms", "node")
    child = SimulatedHost("127.20.4.1", "fiber", "child", "64.02.05.2002", "telkom-wms", parent="tower")
    hosts = [child, tower, FIBRE[0]]
    script = write(
        tmp_path,
        """
        [[event]]
        kind = "outage"
        start_s = 0.3
        duration_s = 0.5
        select = { kind = "node", region = "64.02.05" }
        """,
    )
    with SimulatorProcess(namespace, data_dir=tmp_path, script=script, hosts=hosts):
        seen = ping_inside(namespace, [[host.address for host in hosts]] * 250, every_s=0.005)
    (outage,) = read_truth(tmp_path)
    assert outage["sites"] == ["tower", "child"]
    check(seen[tower.address], [outage])
    check(seen[child.address], [outage])
    assert len(rtts_ms(seen[FIBRE[0].address])) == 250


def check(pings: Sequence[Ping], silences: Sequence[dict[str, str]]) -> None:
    """The kernel stamps a request a little after it was sent: within 3 ms of an edge either will do."""
    near = timedelta(milliseconds=3)
    lost = 0
    for one in pings:
        at = sent_at(one)
        edges = [moment(silence[edge]) for silence in silences for edge in ("started_at", "ended_at")]
        if not any(edge - near < at < edge for edge in edges):
            silent = any(moment(each["started_at"]) <= at < moment(each["ended_at"]) for each in silences)
            assert (one.rtt_ms is None) == silent, f"sent at {at}, answered in {one.rtt_ms} ms"
            lost += silent
    assert lost >= 40


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def length(event: dict[str, str]) -> timedelta:
    return moment(event["ended_at"]) - moment(event["started_at"])


def sent_at(one: Ping) -> datetime:
    return moment("1970-01-01T00:00:00+00:00") + timedelta(microseconds=one.sent_ns / 1000)


def test_the_truth_log_has_an_event_from_its_start_and_no_invented_end(namespace: Namespace, tmp_path: Path) -> None:
    script = write(tmp_path, '[[event]]\nkind = "outage"\nstart_s = 0\nduration_s = 60\n')
    with SimulatorProcess(namespace, data_dir=tmp_path, script=script, hosts=HOSTS):
        deadline = time.monotonic() + 120
        while not (tmp_path / TRUTH).read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
    (line,) = (tmp_path / TRUTH).read_text().splitlines()
    event = json.loads(line)
    assert list(event) == ["kind", "sites", "started_at", "ended_at"]
    assert event["ended_at"] is None
    assert moment(event["started_at"]).utcoffset() == timedelta(0)


def test_five_thousand_packets_a_second_are_all_answered_in_time(namespace: Namespace, tmp_path: Path) -> None:
    crowd = [SimulatedHost(f"127.21.{n // 250}.{n % 250 + 1}", "fiber", f"fibre-{n}") for n in range(1000)]
    rounds = [[host.address for host in crowd[n : n + 25]] for n in range(0, len(crowd), 25)] * 5
    with SimulatorProcess(namespace, data_dir=tmp_path, script=write(tmp_path, ""), hosts=crowd):
        seen = ping_inside(namespace, rounds, every_s=0.005)
    answered_ms = [rtt for pings in seen.values() for rtt in rtts_ms(pings)]
    assert len(answered_ms) == 5_000
    assert typical_ms(answered_ms) == pytest.approx(40.0, abs=1.0)


def test_it_ends_at_sigterm(namespace: Namespace, tmp_path: Path) -> None:
    with SimulatorProcess(namespace, data_dir=tmp_path, hosts=HOSTS) as running:
        os.kill(running.pid, signal.SIGTERM)
        wait_for(lambda: not is_running(running.pid), 120, every_s=0.01)


def test_it_ends_when_its_parent_is_killed(namespace: Namespace, tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom simulator.namespace import Namespace\n"
        "from simulator.host_plan import SimulatedHost\nfrom simulator.process import SimulatorProcess\n"
        "running = SimulatorProcess(Namespace.open(), data_dir=Path(sys.argv[1]), "
        "hosts=[SimulatedHost('127.9.9.9', 'geo')])"
        "\nprint(running.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 120
    while is_running(pid):
        assert time.monotonic() < deadline, "the simulator outlived its parent"
        time.sleep(0.01)


def test_it_outlives_the_thread_that_started_it(namespace: Namespace, tmp_path: Path) -> None:
    running: list[SimulatorProcess] = []
    starter = threading.Thread(
        target=lambda: running.append(SimulatorProcess(namespace, data_dir=tmp_path, hosts=HOSTS))
    )
    starter.start()
    starter.join()
    with running[0]:
        seen = ping_inside(namespace, [[CANARIES[0]]] * 10, every_s=0.01)
    assert len(rtts_ms(seen[CANARIES[0]])) == 10


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_wrong_script_is_refused_before_anything_answers(
    namespace: Namespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SimulatorFailed, match="ended with 2"):
        SimulatorProcess(namespace, data_dir=tmp_path, script=write(tmp_path, "seed = -1"), hosts=HOSTS)
    assert "unknown key 'seed'" in capfd.readouterr().err


def test_an_unset_database_variable_is_named(
    namespace: Namespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SimulatorFailed):
        SimulatorProcess(namespace, data_dir=tmp_path, database_url_env="NOT_SET_ANYWHERE")
    assert "NOT_SET_ANYWHERE is not set" in capfd.readouterr().err
