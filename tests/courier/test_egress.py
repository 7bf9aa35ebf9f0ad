"""No delivery reaches an address that the policy denies, however it is written, resolved or arrived at."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from app.courier.attempt import attempt
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver
from app.courier.egress import NOT_ALLOWED, Egress
from app.settings import AlertsSettings, Settings
from probes.policy import AddressPolicy
from tests.support.receivers import HttpReceiver, http_receiver

DENYING = Settings().receiver_policy
ALLOWING = AddressPolicy(allow=["127.0.0.0/8"])
MESSAGE = Message(uuid4(), "onset", "Putus", "Loa Duri Ilir", False, {}, {})


@pytest.fixture(scope="module")
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


async def deliver(url: str, policy: AddressPolicy = DENYING) -> Answer:
    service = url.partition("://")[0].replace("http", "webhook")
    done = await attempt(MESSAGE, Receiver(service, url), policy, deadline_s=5)
    await done.thread
    return done.answer


@pytest.mark.parametrize("form", ["http://{}:{}/x", "gotify://{}:{}/AbCdEf12345", "mailto://{}:{}/a@x.go.id"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_a_denied_address_is_refused_when_it_is_connected_to(http: HttpReceiver, form: str, host: str) -> None:
    before = len(http.received)
    answer = await deliver(form.format(host, http.port))
    assert answer.outcome is DeliveryOutcome.REFUSED
    assert answer.problem in {NOT_ALLOWED, "the channel's URL is not one of this service"}
    assert len(http.received) == before


async def test_a_name_is_checked_by_what_it_resolves_to_at_each_connection(
    http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer of its name server is allowed, the next one is not."""
    answers = [("127.0.0.1", http.port), ("169.254.169.254", 80)]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers.pop(0))]
    )
    url = f"http://rebinding.example:{http.port}/x"
    assert (await deliver(url, ALLOWING)).outcome is DeliveryOutcome.ACCEPTED
    assert await deliver(url, ALLOWING) == Answer(DeliveryOutcome.REFUSED, NOT_ALLOWED)


@pytest.mark.parametrize("form", ["http://{}:1/x", "gotify://{}:1/AbCdEf12345", "mailto://{}:1/a@x.go.id"])
async def test_each_address_of_a_name_is_checked_when_it_is_its_turn(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens at the first one, which is allowed."""
    addresses = [("127.0.0.1", 1), ("169.254.169.254", 1)]
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    assert await deliver(form.format("two.example"), ALLOWING) == Answer(DeliveryOutcome.REFUSED, NOT_ALLOWED)


async def test_an_allowed_network_is_delivered_to_and_a_denied_part_of_it_is_not(http: HttpReceiver) -> None:
    policy = Settings(alerts=AlertsSettings(allow=["127.0.0.1/32"])).receiver_policy
    assert (await deliver(f"http://127.0.0.1:{http.port}/x", policy)).outcome is DeliveryOutcome.ACCEPTED
    assert (await deliver(f"http://127.0.0.2:{http.port}/x", policy)).problem == NOT_ALLOWED


def _in_a_guarded_thread(do: Callable[[], object]) -> Egress:
    egress = Egress(ALLOWING)

    def run() -> None:
        with egress.guarding(), pytest.raises(PermissionError):
            do()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()
    return egress


def test_a_delivery_opens_no_unix_socket_sends_no_datagram_and_starts_no_process(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    with (
        listening,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        for forbidden in (
            lambda: unix.connect(str(tmp_path / "s")),
            lambda: unix.connect_ex(str(tmp_path / "s")),
            lambda: datagrams.connect(("127.0.0.1", 9)),
            lambda: datagrams.sendto(b"x", ("127.0.0.1", 9)),
            lambda: datagrams.bind(("127.0.0.1", 0)),
            lambda: subprocess.run(["true"], check=False),
            lambda: os.system("true"),
        ):
            assert _in_a_guarded_thread(forbidden).problem is not None


def test_the_main_thread_is_not_concerned_and_any_other_of_the_couriers_process_is(http: HttpReceiver) -> None:
    script = f"""
import socket, threading
from app.courier.egress import guard_other_threads
from app.settings import Settings

def connect():
    try:
        socket.create_connection(("127.0.0.1", {http.port}), 5).close()
        print("connected")
    except PermissionError as error:
        print(error)

guard_other_threads(Settings().receiver_policy)
connect()
other = threading.Thread(target=connect)
other.start()
other.join()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["connected", NOT_ALLOWED]
