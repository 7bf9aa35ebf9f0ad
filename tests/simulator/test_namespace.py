"""The network namespace: what programs and sockets inside can reach, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simulator.namespace import Namespace, NamespaceUnavailable


def run(namespace: Namespace, *argv: str) -> str:
    done = subprocess.run(namespace.command(argv), capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def test_a_command_runs_in_another_network_than_ours(namespace: Namespace) -> None:
    assert run(namespace, "readlink", "/proc/self/ns/net") != os.readlink("/proc/self/ns/net")


def test_inside_there_is_a_loopback_and_nothing_else(namespace: Namespace) -> None:
    interfaces = run(namespace, "cat", "/proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


def test_the_kernel_inside_answers_no_ping_of_its_own(namespace: Namespace) -> None:
    assert run(namespace, "cat", "/proc/sys/net/ipv4/icmp_echo_ignore_all") == "1"
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as handle:
        handle.settimeout(0.1)
        handle.sendto(b"\x08\x00" + bytes(6), ("127.0.0.1", 0))
        with pytest.raises(TimeoutError):
            handle.recv(64)


def test_programs_inside_may_open_raw_and_ping_sockets(namespace: Namespace) -> None:
    both = "import socket as s\nfor kind in (s.SOCK_RAW, s.SOCK_DGRAM): s.socket(s.AF_INET, kind, 1).close()"
    run(namespace, sys.executable, "-c", both)


def test_a_raw_socket_passed_out_works_inside(namespace: Namespace) -> None:
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as handle:
        assert not handle.get_inheritable()
        handle.settimeout(5)
        handle.sendto(b"\x08\x00" + bytes(6), ("127.9.8.7", 0))
        packet, sender = handle.recvfrom(256)
    assert sender[0] == "127.0.0.1"
    assert packet[16:20] == socket.inet_aton("127.9.8.7")


def test_listeners_opened_inside_are_reachable_inside_only(namespace: Namespace) -> None:
    with namespace.socket() as listener, namespace.socket() as caller, socket.socket() as outsider:
        listener.bind(("127.0.0.1", 80))
        listener.listen()
        caller.connect(("127.0.0.1", 80))
        listener.accept()[0].close()
        listener_port = listener.getsockname()[1]
        outsider.settimeout(1)
        assert outsider.connect_ex(("127.77.66.55", listener_port)) != 0


def test_many_threads_may_open_sockets_at_once(namespace: Namespace) -> None:
    made: list[socket.socket] = []

    def ask() -> None:
        made.extend(namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({handle.fileno() for handle in made}) == 160
    for handle in made:
        handle.close()


def test_a_socket_that_cannot_be_opened_is_an_error_and_the_next_one_works(namespace: Namespace) -> None:
    with pytest.raises(OSError, match="inside the namespace"):
        namespace.socket(socket.AF_INET, socket.SOCK_STREAM, 253)
    namespace.socket().close()


def test_a_closed_namespace_leaves_no_process_behind() -> None:
    try:
        opened = Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        assert Path(f"/proc/{opened.pid}").exists()
    assert not Path(f"/proc/{opened.pid}").exists()


def test_the_holder_ends_when_its_parent_is_killed(namespace: Namespace) -> None:
    program = (
        "import time\nfrom simulator.namespace import Namespace\n"
        "print(Namespace.open().pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        holder = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_gone(holder)


def wait_until_gone(pid: int, *, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_a_namespace_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NamespaceUnavailable, match="cannot run unshare") as caught:
        Namespace.open()
    assert "\n" not in str(caught.value)
