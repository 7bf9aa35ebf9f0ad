"""What can be said of every script without its machine: one secret, sound quoting, JSON that our own parser reads."""

import re
import subprocess
from datetime import UTC, datetime

import pytest

from app.agents import install_commands, scripts
from app.agents.models import AgentKind
from app.agents.scripts import Place
from app.profiles import Technology, profiles
from app.push import parser

TOKEN = "sd-tT0-_kEn"
NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
PLACE = Place("64.02.05.2003-01", "Muara Badak Ulu", "Telkom WMS")


def rendered(kind: AgentKind, *, place: Place = PLACE, technology: Technology = Technology.LEO, **changes: str) -> str:
    given = {"url": "https://sinyal.example/dir", "token": TOKEN} | changes
    return scripts.render(
        kind, place, anchors=["192.0.2.1", "192.0.2.2"], profile=profiles()[technology], now=NOW, **given
    )


@pytest.mark.parametrize("kind", scripts.FILES)
def test_a_script_holds_one_token_and_no_other_secret(kind: AgentKind) -> None:
    text = rendered(kind)
    assert re.findall(r"\bsd-[A-Za-z0-9_-]+", text) == [TOKEN]
    assert "«" not in text
    assert "»" not in text


@pytest.mark.parametrize("kind", scripts.FILES)
def test_a_script_says_first_in_indonesian_how_it_is_installed_looked_after_and_removed(kind: AgentKind) -> None:
    head = rendered(kind).split("\n\n")[0]
    assert [word for word in ("Pasang", "Periksa", "Hapus", "English") if word in head] == [
        "Pasang",
        "Periksa",
        "Hapus",
        "English",
    ]
    assert head.index("Pasang") < head.index("English")
    assert install_commands.REMOVALS[kind].partition(";")[0] in head
    assert "64.02.05.2003-01" in head


@pytest.mark.parametrize("kind", scripts.FILES)
def test_no_name_of_a_site_becomes_a_command(kind: AgentKind) -> None:
    evil = Place("64.02.05.2003-01", "Desa\n$(reboot) `id` \"x\" 'y' ]}; #", "P\r\n&& halt")
    assert len(rendered(kind, place=evil).splitlines()) == len(rendered(kind).splitlines())
    assert re.search(r"\$\(reboot|`id`|&& halt", rendered(kind, place=evil)) is None


@pytest.mark.parametrize("kind", [AgentKind.OPENWRT, AgentKind.LINUX])
@pytest.mark.parametrize("shell", [["busybox", "ash"], ["dash"]])
def test_both_small_shells_can_read_the_shell_scripts(kind: AgentKind, shell: list[str]) -> None:
    text = rendered(kind)
    (agent,) = re.findall(r"<<'SINYAL_AGENT'.*?\n(.*?)\nSINYAL_AGENT\n", text, re.DOTALL)
    for part in (text, agent):
        done = subprocess.run([*shell, "-n"], input=part, capture_output=True, text=True, timeout=10)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", [AgentKind.OPENWRT, AgentKind.LINUX])
def test_a_script_that_came_half_does_nothing(kind: AgentKind, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = rendered(kind)
    for cut in range(200, len(text) - 12, 1500):
        root = tmp_path_factory.mktemp("root")
        subprocess.run(
            ["sh", "-c", text[:cut]],
            env={"SINYAL_ROOT": str(root), "PATH": "/bin:/usr/bin"},
            capture_output=True,
            timeout=10,
            check=False,
        )
        assert list(root.iterdir()) == []


@pytest.mark.parametrize("kind", [AgentKind.ROUTEROS, AgentKind.WINDOWS])
def test_quotes_and_brackets_are_balanced(kind: AgentKind) -> None:
    assert unbalanced(rendered(kind), escape="\\" if kind is AgentKind.ROUTEROS else "`") == []
    assert unbalanced(':put "a$[:len "x"]"\n{ (', escape="\\") == ["{", "("]


def unbalanced(text: str, *, escape: str) -> list[str]:
    """What stays open outside of strings and comments."""
    open_, quote, place = [], "", 0
    pairs = {")": "(", "]": "[", "}": "{"}
    if escape == "`":  # a here-string holds a script of its own
        text = text.replace("@'\n", "(").replace("\n'@\n", ")\n")
    while place < len(text):
        one = text[place]
        if quote:
            if one == escape and quote == '"':
                place += 1
            elif escape == "\\" and text.startswith("$[", place):
                open_.append('"')
                quote, place = "", place + 1
            elif one == quote:
                quote = ""
        elif one == "#" and (place == 0 or text[place - 1] in " \n"):
            place = text.find("\n", place)
        elif one == '"' or (one == "'" and escape == "`"):
            quote = one
        elif one in "([{":
            open_.append(one)
        elif one == "]" and open_[-1:] == ['"']:
            open_.pop()
            quote = '"'
        elif one in ")]}":
            assert open_, text[place - 60 : place + 1]
            assert open_.pop() == pairs[one], text[place - 60 : place + 1]
        place += 1
    return [*open_, *quote]


def test_what_the_routeros_script_sends_is_a_push() -> None:
    text = rendered(AgentKind.ROUTEROS)
    known = {
        "sinyalBoot": "k3f9ab2c",
        "sinyalSeq": "7",
        "uptime": "1w2d03:04:05",
        "times": "21.866,22.001",
        "at": "1w2d03:04:11",
        "waiting": "0",
        "sinyalDropped": "2",
        "token": TOKEN,
        "sent": "3",
    }
    known["row"] = filled(text, "row", known)
    known["batch"] = known["row"] + "," + known["row"].replace("7", "8", 1).replace("21.866,22.001", "")
    known["head"] = filled(text, "head", known)
    push = parser.read(parser.load(filled(text, "body", known).encode()))
    assert push.faults == []
    assert (push.agent, push.boot, push.dropped, push.uptime_us) == ("routeros/1", "k3f9ab2c", 2, 788_651 * 1_000_000)
    assert [(row.seq, row.sent, row.rtt_us) for row in push.rows] == [(7, 3, [21866, 22001]), (8, 3, [])]
    headers = filled(text, "headers", known)
    assert headers.count(",") == 1, "RouterOS parts headers at commas"
    assert headers.partition(",")[0] == f"Authorization: Bearer {TOKEN}"


def filled(text: str, name: str, known: dict[str, str]) -> str:
    """A RouterOS string with its variables filled in."""
    (found,) = re.findall(rf':local {name} "(.*)"\n', text)
    return re.sub(r"\$(\w+)", lambda match: known[match[1]], found.replace('\\"', '"'))


def test_what_the_windows_script_sends_is_a_push() -> None:
    text = rendered(AgentKind.WINDOWS)
    (row,) = re.findall(r"\$row = '(.*)' -f", text)
    (body,) = re.findall(r"\n    '(\{\{\"agent.*)' -f", text)
    one = row.format("k3f9ab2c", 7, "100.25", 3, "21,22", ',"clock":"2026-11-25T03:00:00Z"')
    push = parser.read(
        parser.load(body.format("k3f9ab2c", "101.50", 4, 0, ',"sent_at":"2026-11-25T03:00:01Z"', one).encode())
    )
    assert push.faults == []
    assert (push.agent, push.waiting, push.rows[0].rtt_us) == ("windows/1", 4, [21_000, 22_000])


def test_certificates_are_checked_wherever_there_are_some() -> None:
    assert rendered(AgentKind.ROUTEROS).count("check-certificate=yes-without-crl") == 2
    assert "check-certificate" not in rendered(AgentKind.ROUTEROS, url="http://192.0.2.9:8000")
    for kind in scripts.FILES:
        assert re.search(r"check-certificate=no\b|--no-check|-k |SkipCertificate|insecure", rendered(kind)) is None


def test_routers_do_not_all_send_in_the_same_second() -> None:
    seconds = [scripts.jitter_s(f"64.02.05.{2000 + n}-01", 60) for n in range(1000)]
    assert set(seconds) == set(range(50))
    assert max(seconds.count(second) for second in range(50)) < 40


def test_the_lines_that_a_technician_types_are_short_and_quoted() -> None:
    lines = install_commands.lines("https://sinyal.kaltimprov.go.id", "K7QX2MRD")
    assert all(len(line) < 220 and "\n" not in line for line in lines.values())
    assert "?" not in lines[AgentKind.ROUTEROS], "its console would take it for a call for help"
    assert lines[AgentKind.LINUX] == "curl -sS 'https://sinyal.kaltimprov.go.id/enrol/K7QX2MRD?kind=linux' | sudo sh"


def test_on_linux_what_systemd_keeps_apart_is_removed_too() -> None:
    script = rendered(AgentKind.LINUX)
    removal = script[script.index("remove() {") :]
    for folder in ("/run/private/sinyal", "/run/sinyal", "/var/lib/private/sinyal", "/var/lib/sinyal"):
        assert f" {folder} " in removal.partition("}")[0], "the token lies there: RuntimeDirectoryPreserve"


def test_no_folder_of_a_script_is_one_that_anybody_could_have_made() -> None:
    for kind in (AgentKind.OPENWRT, AgentKind.LINUX):
        assert re.search(r"^(RUN|SPOOL)=/tmp", rendered(kind), re.MULTILINE) is None


def test_what_windows_runs_as_its_system_lies_where_no_user_could_have_put_it() -> None:
    for said in (
        rendered(AgentKind.WINDOWS),
        install_commands.CHECKS[AgentKind.WINDOWS],
        install_commands.REMOVALS[AgentKind.WINDOWS],
    ):
        assert "ProgramData" not in said


@pytest.mark.parametrize("kind", scripts.FILES)
def test_whoever_removes_an_agent_ends_its_token(kind: AgentKind) -> None:
    text = rendered(kind)
    assert "/api/v1/push/end" in text.replace('"$url/end"', '"https://x/api/v1/push/end"')


def test_no_line_that_a_technician_types_leaves_the_token_in_a_file() -> None:
    lines = install_commands.lines("https://sinyal.example", "K7QX2MRD")
    assert lines[AgentKind.OPENWRT].endswith("; rm -f $f")
    assert lines[AgentKind.ROUTEROS].endswith("/file remove sd.rsc }")
