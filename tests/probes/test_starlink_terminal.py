"""What a terminal answers to the agent's own request, over gRPC's own server, and what is read of it."""

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import ROOT
from probes.protobuf_wire import MAX_FIELDS, Malformed, read_message
from probes.starlink_terminal import MAX_ANSWER, NoStatus, read_status
from probes.telemetry import LinkState
from tests.support.starlink_terminal import GET_STATUS, LATITUDE, field, framed, open_terminal, status_message

AT = datetime(2026, 11, 24, 6, 5, tzinfo=UTC)
SCRIPT = ROOT / "app/agents/templates/terminal.sh"
AROUND = """
now() { read -r up _ < /proc/uptime; echo "${up%.*}"; }
read_number() { text=$(cat "$1" 2>/dev/null); case $text in '' | *[!0-9]*) echo "$2" ;; *) echo "$text" ;; esac; }
write_file() { printf '%s\\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1"; }
"""


def run(shell: list[str], folder: Path, *, port: int, times: int = 1) -> list[str]:
    script = (
        f"RUN={folder} STARLINK=127.0.0.1:{port}\n{AROUND}\n{SCRIPT.read_text()}\n" + "terminal_fields; echo\n" * times
    )
    done = subprocess.run([*shell, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "ash"]])
def test_the_agent_posts_get_status_and_passes_the_answer_on_once_in_five_minutes(
    shell: list[str], tmp_path: Path
) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    with open_terminal() as terminal:
        terminal.message = status_message(drop=0.05, uptime_s=349_213, alerts=(6,))
        first, second = run(shell, tmp_path, port=terminal.port, times=2)
    assert terminal.requests == [GET_STATUS]
    assert second == ""
    said = read_status(base64.b64decode(json.loads("{" + first.removeprefix(",") + "}")["starlink"]), AT)
    assert (said.device, said.state) == ("ut01000000-00000000-006d6312", LinkState.UP)
    assert said.alerts == ("slow_ethernet_speeds",)
    assert said.figures() == {"drop_rate": 0.05, "latency_ms": 41.5, "obstruction": 0.0125, "uptime_s": 349_213}


def test_without_a_terminal_the_agent_sends_nothing_of_it_and_asks_again_after_an_hour(tmp_path: Path) -> None:
    assert run(["dash"], tmp_path, port=9) == [""]
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    assert 3_300 < int((tmp_path / "terminal").read_text()) - up_s <= 3_600


@pytest.mark.parametrize(
    ("message", "state", "cause"),
    [
        (status_message(), LinkState.UP, None),
        (status_message(outage=6), LinkState.DOWN, "obstructed"),
        (status_message(outage=99), LinkState.DOWN, "unknown"),
        (status_message(drop=1.0), LinkState.DOWN, "no_pings"),
        (status_message(more=field(1024, 2)), LinkState.DOWN, "disabled_no_active_account"),
        (status_message(more=field(1024, 1)), LinkState.UP, None),
    ],
)
def test_what_it_says_of_the_link(message: bytes, state: LinkState, cause: str | None) -> None:
    said = read_status(framed(message), AT)
    assert (said.state, said.cause) == (state, cause)


def test_where_it_stands_is_not_read() -> None:
    place = field(1015, field(1, 1) + LATITUDE) + field(1011, 12.5) + field(1027, field(4, 98.25))
    assert read_status(framed(status_message(more=place)), AT) == read_status(framed(status_message()), AT)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0\0\0",
        framed(b"\xff" * 20),
        framed(field(3004, b"")),  # of a router
        framed(status_message())[:-1],
        b"\1" + framed(status_message())[1:],  # compressed
        framed(field(2004, b"x" * MAX_ANSWER)),
        b"<html>login</html>",
    ],
)
def test_what_is_no_status_is_told_as_such(answer: bytes) -> None:
    with pytest.raises(NoStatus):
        read_status(answer, AT)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        fields = read_message(data)
    except Malformed:
        return
    assert sum(map(len, fields.values())) <= MAX_FIELDS


@given(st.binary(max_size=200), st.integers(0, 199))
def test_no_answer_that_was_changed_on_the_way_ends_otherwise_than_in_a_status_or_none(
    noise: bytes, where: int
) -> None:
    answer = bytearray(framed(status_message(outage=7, alerts=(1, 5))))
    answer[where % len(answer) : where % len(answer) + len(noise)] = noise
    try:
        said = read_status(bytes(answer), AT)
    except NoStatus:
        return
    assert said.drop_rate is None or 0 <= said.drop_rate <= 1
    assert said.uptime_s is None or 0 <= said.uptime_s <= 10**9
