"""Functions of the shell agents, in ash and dash: spool on a full disk, epochs of boots, pauses, messages."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.agents import scripts
from app.agents.models import AgentKind
from app.agents.scripts import ScriptSite
from app.profiles import Technology, profiles

NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
SETTINGS = (
    "URL=https://sinyal.example TOKEN=sd-x BEAT_S=60 SEND_S=60 KEEP_ROWS=10080 BATCH_ROWS=500 SINCE=0 CLIENT=curl"
)


def functions() -> str:
    """Return the agent without its settings and without what it does when it is called."""
    site = ScriptSite("64.02.05.2003-01", "Muara Badak Ulu", "Telkom WMS")
    text = scripts.render(
        AgentKind.LINUX,
        site,
        url="https://sinyal.example",
        token="sd-x",
        anchors=["192.0.2.1"],
        profile=profiles()[Technology.LEO],
        now=NOW,
    )
    (agent,) = re.findall(r"<<'SINYAL_AGENT'.*?\n(.*?)\nSINYAL_AGENT\n", text, re.DOTALL)
    _, _, after_settings = str(agent).partition("mkdir -p")
    return after_settings.partition("\n")[2].partition("\ncase ${1:-status} in")[0]


@pytest.fixture(params=["busybox ash", "dash"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return str(request.param).split()


def run(shell: list[str], folder: Path, script: str, *, before: str = "") -> list[str]:
    """Return the lines that the script prints after the agent's functions."""
    text = f"set -u\nRUN={folder} SPOOL={folder} {SETTINGS}\n{functions()}\n{script}"
    (folder / "script").write_text(text)
    command = [*shell, str(folder / "script")]
    if before:
        command = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_on_a_full_disk_every_row_is_stored_or_counted_and_no_number_is_used_twice(
    shell: list[str], tmp_path: Path
) -> None:
    """The disk of 48 kB is full after some 130 rows; then 4 kB are freed, and the torn line costs no other row."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "script").touch()
    row = r"{\"boot\":\"$boot\",\"seq\":$seq,\"filler\":\"" + "x" * 80 + r"\"}"
    script = f"""
        RUN={tmp_path}/disk SPOOL={tmp_path}/disk
        one() {{ next_sequence_number && store_row "{row}"; }}
        printf '%04000d' 0 > "$RUN/other"; one
        rm -f "$RUN/room"; n=0
        while [ $n -lt 200 ]; do one; n=$((n + 1)); done
        rm -f "$RUN/other"; one; one
        write_slot "$RUN/epoch" "1 0 0"
        take_batch; finish_batch
        echo "$seq $rows $(read_number "$RUN/dropped" 0)"
        print_rows | cut -d : -f 3 | cut -d , -f 1
    """
    counts, *numbers = run(shell, tmp_path, script, before=f"mount -t tmpfs -o size=48k disk {tmp_path}/disk")
    last, sent, dropped = map(int, counts.split())
    assert (last, len(numbers), len(set(numbers))) == (203, sent, sent)
    assert sent + dropped == 203
    assert dropped > 20
    assert numbers[-2:] == ["202", "203"]


def test_a_boot_learns_its_epoch_from_the_answer_without_the_time_of_connecting(
    shell: list[str], tmp_path: Path
) -> None:
    answer = '{"accepted":0,"server_time":"2026-11-24T06:05:00.500+00:00"}'
    connected, began, total = 36.0, 36.2, 36.3
    script = f"""
        boot=b; uptime_s() {{ echo 140; }}; hardware_clock() {{ echo -; }}
        echo '{answer}' > "$RUN/answer"
        TIMES='{connected} {began} {total}'; learn_epoch_from_answer 100.00 136.30; cat "$RUN/epoch"
        TIMES=; learn_epoch_from_answer 100.00 136.30; cat "$RUN/epoch"
    """
    exact, kept = run(shell, tmp_path, script)
    sent_at = datetime(2026, 11, 24, 6, 5, 0, 500_000, UTC).timestamp()
    epoch, error, _ = map(float, exact.split())
    assert abs(epoch - (sent_at - 136.1)) < 0.02
    assert error < 0.2
    assert kept == exact, "one that was measured worse changes nothing"


def test_an_exchange_that_waited_is_repeated_before_rows_are_dated_by_it_three_times_at_most(
    shell: list[str], tmp_path: Path
) -> None:
    script = """
        boot=b; hardware_clock() { echo -; }
        for asked in 0 2 3; do
            for epoch in '' '1000.00 3.50 5.00' '1000.00 1.50 5.00' '1000.00 1.49 5.00' '1000.00 0.12 5.00' -; do
                write_slot "$RUN/epoch" "$epoch"; if epoch_is_vague; then printf 'again '; else printf 'rows '; fi
            done
            echo
        done
    """
    again = "again again again rows rows rows "
    assert run(shell, tmp_path, script) == [again, again, "rows " * 6]


def test_a_full_disk_loses_no_epoch_and_a_boot_is_forgotten_after_fifteen_others(
    shell: list[str], tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "script").touch()
    script = f"""
        RUN={tmp_path} SPOOL={tmp_path}/disk; hardware_clock() {{ echo -; }}
        boot=a; remember_boot - -
        head -c 60000 /dev/zero > "$SPOOL/other" 2>/dev/null
        for boot in a b c d e f g h i j k l m n o p q; do remember_boot 1000.00 -; done
        write_slot "$RUN/epoch" "1000.00 0.12 5.00"
        list_epochs | cut -d ' ' -f 1 | tr '\n' ' '; wc -c < "$SPOOL/boots"
    """
    lines = run(shell, tmp_path, script, before=f"mount -t tmpfs -o size=16k disk {tmp_path}/disk")
    assert lines == ["b c d e f g h i j k l m n o p q 960"]


@pytest.mark.parametrize(
    ("boots", "known"),
    [
        ("a 1000.00 900.00 900.00;b - 4900.00 4900.00;c - 9900.00 9900.00", {"a": 1000, "b": 5000, "c": 10_000}),
        ("a 1000.00 900.00 900.00;b - 4900.00 4900.00;c - 4990.00 4990.00", {"a": 1000, "c": 10_000}),
        ("a 1000.00 - -;b - - -;c - - -", {"a": 1000, "c": 10_000}),
        ("b - 4900.00 4900.00;c - 9900.00 9900.00", {"c": 10_000}),
    ],
    ids=["a battery", "none: the clock stood still", "no hardware clock", "nothing known before"],
)
def test_a_boot_that_never_learned_the_time_has_it_from_a_hardware_clock_that_ran_on(
    shell: list[str], tmp_path: Path, boots: str, known: dict[str, int]
) -> None:
    (tmp_path / "boots").write_text(boots.replace(";", "\n") + "\n")
    script = 'boot=c; write_slot "$RUN/epoch" "10000.00 0.10 5.00"; list_epochs'
    lines = run(shell, tmp_path, script)
    assert {name: float(epoch) for name, epoch in (line.split() for line in lines)} == known


def test_rows_of_a_boot_that_never_learned_the_time_are_counted_and_the_others_sent(
    shell: list[str], tmp_path: Path
) -> None:
    (tmp_path / "boots").write_text("lost - - -\nc - - -\n")
    rows = [f'{{"boot":"{boot}","seq":{seq},"sent":1}}' for boot, seq in (("lost", 1), ("lost", 2), ("c", 1))]
    (tmp_path / "rows").write_text("\n".join(rows) + "\n")
    script = """
        boot=c; take_batch; echo "$lines"
        write_slot "$RUN/epoch" "10000.00 0.10 5.00"
        take_batch; print_rows; epochs_field; echo; finish_batch; read_number "$RUN/dropped" 0
    """
    assert run(shell, tmp_path, script) == ["0", rows[2], ',"epochs":{"c":10000.00}', "2"], "none before it knows"


def test_after_a_true_401_an_agent_asks_again_after_a_minute_and_at_last_each_hour(
    shell: list[str], tmp_path: Path
) -> None:
    script = 'started=0; for n in 1 2 3 4 5 6 7 8; do back_off_long; read_number "$RUN/next" 0; done'
    pauses = list(map(int, run(shell, tmp_path, script)))
    assert all(2**n * 30 <= pause <= 2**n * 60 for n, pause in enumerate(pauses[:6]))
    assert all(1800 <= pause <= 3600 for pause in pauses[6:])


def test_a_refused_certificate_is_told_with_its_reason_and_the_clock(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "problem").write_text(
        "curl: (60) SSL certificate problem: certificate is not yet valid\n"
        "More details here: https://curl.se/docs/sslcerts.html\n\nTo learn more about this situation, visit the page.\n"
    )
    (message,) = run(shell, tmp_path, "explain_failure")
    assert "periksa jam" in message
    assert "certificate is not yet valid" in message
    assert str(datetime.now(UTC).year) in message


STREAM = """
    PACKETS=3 PING_WAIT_S=2 ANCHORS='a b' STREAM=$RUN/stream
    mkdir "$STREAM"; mkfifo "$STREAM/events"; exec 5<> "$STREAM/events"
    anchor=a ping_s=1 heard=90 proven=yes down=1 doubt=0 measured_s=0 written=0
    round=60 step=12 our_due=999 t=100.50 t_s=100 clock=10050
    uptime_now() { t_s=$((clock / 100)) t=$t_s.$(printf %02d $((clock % 100))); }
    nap() { clock=$((clock + 100)); }
    stream_may_run() { true; }
    ping() { # takes the next of our anchor's answers, 0 after a second; the other one always gives the same
        while [ $# -gt 1 ]; do shift; done
        answer=$b
        if [ "$1" = a ]; then
            answer=${a%"${a#?}"} a=${a#?}
            if [ "$answer" = 0 ]; then clock=$((clock + 100)); sleep 0.05; else clock=$((clock + 2)); fi
        fi
        [ "$answer" != 0 ]
    }
    told() { sed 's/[{}"]//g' "$RUN/breaks" 2>/dev/null; }
"""


@pytest.mark.parametrize(
    ("a", "b", "break_", "anchor"),
    [
        ("1", "1", "", "a"),
        ("01", "1", "", "a"),
        ("01", "0", "", "a"),
        ("001", "0", "seq:1,heard_s:90,from_s:101.50,lost_s:101.50,to_s:102.52", "a"),
        ("00001", "0", "seq:1,heard_s:90,from_s:101.50,lost_s:103.50,to_s:104.52", "a"),
        ("0000000", "1", "", "b"),
    ],
    ids=["none", "one", "one, and the other's", "two", "four", "an anchor that is down or slow"],
)
def test_two_packets_in_a_row_are_a_break_unless_another_anchor_answers(
    shell: list[str], tmp_path: Path, a: str, b: str, break_: str, anchor: str
) -> None:
    script = (
        f"{STREAM}\na={a} b={b}\nprobe\n[ -z '{break_}' ] || [ $our_due = $t_s ] || echo no line\ntold; echo $anchor"
    )
    assert run(shell, tmp_path, script) == [*([break_] if break_ else []), anchor]


@pytest.mark.parametrize(
    ("event", "heard", "break_"),
    [
        ("a 3 99.10 99.10", 90, "seq:1,heard_s:90,from_s:99.10,lost_s:99.10,to_s:100.52"),
        ("b 3 99.10 99.10", 90, ""),
        ("a 1 101.10 99.10", 98, ""),
        ("a 3 99.10 99.10", 99, ""),
    ],
    ids=["of our anchor", "of another", "one", "before something was heard"],
)
def test_a_measurement_that_lost_its_packets_is_a_break_that_is_over(
    shell: list[str], tmp_path: Path, event: str, heard: int, break_: str
) -> None:
    script = f"{STREAM}\na= b= heard={heard}\npackets_lost lost {event}\ntold"
    assert run(shell, tmp_path, script) == ([break_] if break_ else [])


@pytest.mark.parametrize(
    ("output", "event"),
    [
        ("", "lost a 3 102.25 102.25"),
        ("64 bytes from a: seq=0 ttl=64 time=1.2 ms", "lost a 2 103.25 102.25"),
        ("64 bytes from a: icmp_seq=1 ttl=64 time=1.2 ms", "lost a 2 103.25 102.25"),
        ("From b icmp_seq=1 Destination Host Unreachable\nFrom b icmp_seq=2 Unreachable", "lost a 3 102.25 102.25"),
        ("64 bytes from a: seq=1 ttl=64 time=1.2 ms", "lost a 1 104.25 102.25"),
        ("64 bytes from a: seq=1 ttl=64 time=1.2 ms\n64 bytes from a: seq=2 ttl=64 time=1.2 ms", ""),
        ("64 bytes from a: icmp_seq=3 ttl=64 time=1.2 ms", ""),
    ],
)
def test_a_measurement_tells_which_of_its_last_packets_were_lost(
    shell: list[str], tmp_path: Path, output: str, event: str
) -> None:
    script = f"{STREAM}\nstream_lost a 100.25 '{output}'\necho end >&5\nread -r event <&5; echo \"$event\""
    assert run(shell, tmp_path, script) == [event or "end"]


def test_the_line_comes_once_a_round_and_first_after_the_measurement(shell: list[str], tmp_path: Path) -> None:
    """Second by second for ten minutes, with a measurement each minute, from any moment on."""
    script = f"""{STREAM}
        our_line() {{ written=$t_s our_due=$((t_s + round)) slot=$((t_s + step)); line=$((line + 1)); }}
        probe() {{ slot=$((t_s + step)); pinged=$((pinged + 1)); }}
        for began in 1000 1005 1014 1030 1048 1058; do
            t_s=$began line=0 pinged=0; our_line
            while [ $t_s -lt 1620 ]; do
                t_s=$((t_s + 1))
                case $(((t_s - 1000) % 60)) in 0) slot=$((t_s + 6)) ;; 2) measured $t_s ;; esac
                if [ $t_s -ge $our_due ]; then our_line; elif [ $t_s -ge $slot ]; then crossing; fi
                [ $t_s != 1320 ] || {{ line=0 pinged=0; }}
            done
            echo $line $pinged $(((written - 1000) % 60 / 2))
        done
    """
    assert run(shell, tmp_path, script) == ["5 15 7"] * 6
