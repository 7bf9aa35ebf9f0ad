"""How the demo is put together; what it then does: tests/simulator/test_demo_process.py."""

import socket
from pathlib import Path

from app.settings import Settings
from simulator.agent_secret import ENV
from simulator.demo import API_ADDRESS, _children, _listen_inside
from simulator.namespace import Namespace

GIVEN = Settings(database_url=None, data_dir=Path("data"))
SECRET = "f00d"


def test_on_the_simulated_network_the_api_listens_on_a_socket_that_outlives_it(namespace: Namespace) -> None:
    inside = _listen_inside(namespace)
    assert inside is not None
    with inside, namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.connect(API_ADDRESS)  # nobody accepts yet
        children = {one.name: one for one in _children(namespace, inside, "url", GIVEN, None, {}, {ENV: SECRET})}
        assert children["api"].pass_fds == (inside.fileno(),)
        assert children["worker"].environment["SINYAL_PUBLIC_URL"] == "http://127.254.0.1:8000"


def test_the_agents_secret_goes_to_the_simulator_alone_and_on_no_command_line(namespace: Namespace) -> None:
    inside = _listen_inside(namespace)
    assert inside is not None
    with inside:
        children = _children(namespace, inside, "url", GIVEN, None, {}, {ENV: SECRET})
    assert [one.name for one in children if SECRET in one.environment.values()] == ["simulator"]
    assert not any(SECRET in word for one in children for word in one.argv)


def test_without_a_network_of_its_own_there_are_worker_and_api_alone() -> None:
    assert _listen_inside(None) is None
    children = _children(None, None, "url", GIVEN, None, {}, {ENV: SECRET})
    assert [(one.name, one.pass_fds, one.environment) for one in children] == [("worker", (), {}), ("api", (), {})]
