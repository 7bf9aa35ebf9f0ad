"""`sinyal ping` as a process of its own, inside the tests' network."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.namespace import Namespace

COMMAND = [sys.executable, "-c", "import typer; from app.cli.ping import ping; typer.run(ping)"]
WITHOUT_RAW = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")


def sinyal_ping(
    namespace: Namespace, *arguments: str, stdin: str = "", before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    command = namespace.command([*before, *COMMAND, *arguments])
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=20, check=False)


def test_it_prints_what_fping_prints(answering: Namespace) -> None:
    done = sinyal_ping(answering, "127.0.0.1", "::1", "-c", "2", "-i", "0.01")
    assert done.returncode == 0
    first, second, summary = done.stdout.splitlines()
    tail = r" : xmt/rcv/%loss = 2/2/0%, min/avg/max = [\d.]+/[\d.]+/[\d.]+"
    assert re.fullmatch("127.0.0.1" + tail, first)
    assert re.fullmatch("::1      " + tail, second)
    assert summary.startswith("2 hosts, 2 answered, 0 did not; xmt/rcv/%loss = 4/4/0%")
    assert done.stderr == ""


def test_json_has_every_host_and_its_round_trips(answering: Namespace) -> None:
    done = sinyal_ping(answering, "127.0.0.1", "127.0.0.2", "-c", "3", "-i", "0.01", "--json")
    answer = json.loads(done.stdout)
    assert list(answer) == ["targets", "sent", "received", "wall_s", "hosts"]
    assert (answer["targets"], answer["sent"], answer["received"]) == (2, 6, 6)
    assert 0.02 < answer["wall_s"] < 2
    for host, name in zip(answer["hosts"], ("127.0.0.1", "127.0.0.2"), strict=True):
        assert list(host) == ["host", "sent", "received", "rtt_ms"]
        assert (host["host"], host["sent"], host["received"]) == (name, 3, 3)
        assert all(0 < rtt < 50 for rtt in host["rtt_ms"])


def test_a_silent_host_means_exit_1(silent: Namespace) -> None:
    done = sinyal_ping(silent, "127.0.0.1", "-c", "1", "-t", "0.05")
    assert done.returncode == 1
    assert done.stdout.startswith("127.0.0.1 : xmt/rcv/%loss = 1/0/100%\n")


def test_what_could_not_be_sent_is_not_called_loss(silent: Namespace) -> None:
    done = sinyal_ping(silent, "192.0.2.1", "-c", "1")  # the namespace has no route
    assert done.returncode == 1
    assert "xmt/rcv/%loss = 0/0/- (1 not counted: not sent: Network is unreachable)" in done.stdout


def test_hosts_come_from_a_file_or_stdin_with_comments(answering: Namespace, tmp_path: Path) -> None:
    text = "# balai desa\n127.0.0.1\n\n127.0.0.2  # kantor\n"
    (tmp_path / "hosts").write_text(text)
    for file, stdin in ((str(tmp_path / "hosts"), ""), ("-", text)):
        done = sinyal_ping(answering, "-q", "-c", "1", "--file", file, stdin=stdin)
        assert done.returncode == 0
        assert done.stdout.startswith("2 hosts, 2 answered")
        assert len(done.stdout.splitlines()) == 1


def test_a_name_that_does_not_resolve_means_exit_2_and_the_others_are_pinged(answering: Namespace) -> None:
    done = sinyal_ping(answering, "127.0.0.1", "nowhere.invalid", "-c", "1", "--json")
    assert done.returncode == 2
    good, bad = json.loads(done.stdout)["hosts"]
    assert good["received"] == 1
    assert (bad["sent"], bad["received"], bad["rtt_ms"]) == (0, 0, [])
    assert "cannot resolve nowhere.invalid" in bad["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no host given"),
        (["127.0.0.1", "-c", "0"], "--count must be 1 to 100,000"),
        (["127.0.0.1", "-i", "-1"], "--interval must be"),
        (["127.0.0.1", "-t", "0"], "--timeout must be"),
        (["127.0.0.1", "-t", "nan"], "--timeout must be"),
        (["127.0.0.1", "--rate", "-1"], "--rate must be"),
        (["127.1"], "'127.1' is neither an IP address nor a hostname"),
        (["--file", "/nowhere"], "cannot read /nowhere: No such file"),
        (["--file", "/"], "cannot read /: Is a directory"),
        (["--file", "-"], "-, line 2: 'no host' is neither"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(answering: Namespace, arguments: list[str], words: str) -> None:
    done = sinyal_ping(answering, *arguments, stdin="127.0.0.1\nno host\n")
    assert done.returncode == 2
    assert done.stderr.startswith("sinyal ping: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_without_permission_it_says_what_to_set_and_exits_4(silent: Namespace) -> None:
    fresh = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net", *WITHOUT_RAW]
    done = subprocess.run([*fresh, *COMMAND, "127.0.0.1"], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "CAP_NET_RAW" in done.stderr
    assert "net.ipv4.ping_group_range" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unprivileged_socket_serves_as_well(answering: Namespace) -> None:
    done = sinyal_ping(answering, "127.0.0.1", "-c", "1", before=WITHOUT_RAW)
    assert (done.returncode, done.stderr) == (0, "")
