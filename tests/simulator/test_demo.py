"""The demo's child processes; a whole running demo is tested in tests/simulator/test_demo_process.py."""

import asyncio
import socket
import time
from pathlib import Path

from app.runtime.supervisor import Child
from app.settings import Settings
from simulator.agent_secret import ENV
from simulator.demo import INGEST_ADDRESS, SimulatorChild, _children, _listen_inside
from simulator.namespace import Namespace

SETTINGS = Settings(database_url=None, data_dir=Path("data"))
SECRET = "f00d"


def test_on_the_simulated_network_ingest_listens_on_a_socket_that_outlives_it(namespace: Namespace) -> None:
    inside = _listen_inside(namespace)
    assert inside is not None
    with inside, namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.connect(INGEST_ADDRESS)  # nothing accepts yet
        children = {
            child.name: child for child in _children(namespace, inside, "url", SETTINGS, None, {}, {ENV: SECRET})
        }
        assert children["ingest"].pass_fds == (inside.fileno(),)
        assert children["worker"].environment["SINYAL_INGEST_URL"] == "http://127.254.0.1:8000"


def test_the_agents_secret_goes_to_the_simulator_alone_and_on_no_command_line(namespace: Namespace) -> None:
    inside = _listen_inside(namespace)
    assert inside is not None
    with inside:
        children = _children(namespace, inside, "url", SETTINGS, None, {}, {ENV: SECRET})
    assert [child.name for child in children if SECRET in child.environment.values()] == ["simulator"]
    assert not any(SECRET in word for child in children for word in child.argv)


def test_without_a_network_of_its_own_there_are_worker_ingest_api_and_courier_alone() -> None:
    assert _listen_inside(None) is None
    children = _children(None, None, "url", SETTINGS, None, {}, {ENV: SECRET})
    assert [(child.name, child.pass_fds, child.environment) for child in children] == [
        ("worker", (), {}),
        ("ingest", (), {}),
        ("api", (), {}),
        ("courier", (), {"SINYAL_PUBLIC_URL": "http://127.0.0.1:8000"}),
    ]


async def test_the_simulator_ends_after_the_worker(tmp_path: Path) -> None:
    """Else a worker that still probes would report blindness at every orderly end."""
    worker_ended, simulator_ended = tmp_path / "worker", tmp_path / "simulator"
    worker = Child(
        "worker", ["sh", "-c", f"trap 'sleep 0.5; touch {worker_ended}; exit' TERM; while :; do sleep 0.1; done"]
    )
    simulator = SimulatorChild(
        "simulator",
        ["sh", "-c", f"trap 'touch {simulator_ended}; exit' TERM; while :; do sleep 0.1; done"],
        worker=worker,
    )
    for child in (simulator, worker):
        await child.keep_alive()
    await asyncio.sleep(0.5)
    await asyncio.gather(simulator.stop(), worker.stop())
    assert worker_ended.stat().st_mtime_ns <= simulator_ended.stat().st_mtime_ns


async def test_a_worker_that_never_started_does_not_keep_the_simulator() -> None:
    simulator = SimulatorChild("simulator", ["sleep", "60"], worker=Child("worker", ["true"]))
    await simulator.keep_alive()
    began = time.monotonic()
    await simulator.stop()
    assert time.monotonic() - began < 5
