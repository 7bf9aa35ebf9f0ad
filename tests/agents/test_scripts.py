"""Checks of every script without running it: one secret, sound quoting, JSON that our own parser reads."""

import re
import subprocess
from datetime import UTC, datetime

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from app.agents import install_commands, scripts
from app.agents.models import AgentKind
from app.agents.scripts import ScriptSite
from app.profiles import Technology, profiles
from app.push import parser

TOKEN = "sd-tT0-_kEn"
NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
SITE = ScriptSite("64.02.05.2003-01", "Muara Badak Ulu", "Telkom WMS")


def rendered(
    kind: AgentKind, *, site: ScriptSite = SITE, technology: Technology = Technology.LEO, **changes: str
) -> str:
    options = {"url": "https://sinyal.example/dir", "token": TOKEN} | changes
    return scripts.render(
        kind, site, anchors=["192.0.2.1", "192.0.2.2"], profile=profiles()[technology], now=NOW, **options
    )


@pytest.mark.parametrize("kind", scripts.FILES)
def test_a_script_holds_one_token_and_no_other_secret(kind: AgentKind) -> None:
    text = rendered(kind)
    assert re.findall(r"\bsd-[A-Za-z0-9_-]+", text) == [TOKEN]
    assert "«" not in text
    assert "»" not in text


@pytest.mark.parametrize("kind", scripts.FILES)
def test_a_script_states_in_indonesian_first_how_to_install_check_and_remove_it(kind: AgentKind) -> None:
    head = rendered(kind).split("\n\n")[0]
    assert [word for word in ("Pasang", "Periksa", "Hapus", "English") if word in head] == [
        "Pasang",
        "Periksa",
        "Hapus",
        "English",
    ]
    assert head.index("Pasang") < head.index("English")
    assert install_commands.REMOVE_COMMANDS[kind].partition(";")[0] in head
    assert "64.02.05.2003-01" in head


@pytest.mark.parametrize("kind", scripts.FILES)
def test_a_malicious_site_name_becomes_no_command(kind: AgentKind) -> None:
    malicious = ScriptSite("64.02.05.2003-01", "Desa\n$(reboot) `id` \"x\" 'y' ]}; #", "P\r\n&& halt")
    assert len(rendered(kind, site=malicious).splitlines()) == len(rendered(kind).splitlines())
    assert re.search(r"\$\(reboot|`id`|&& halt", rendered(kind, site=malicious)) is None


@pytest.mark.parametrize("kind", [AgentKind.OPENWRT, AgentKind.LINUX])
@pytest.mark.parametrize("shell", [["busybox", "ash"], ["dash"]])
def test_ash_and_dash_can_parse_the_shell_scripts(kind: AgentKind, shell: list[str]) -> None:
    text = rendered(kind)
    (agent,) = re.findall(r"<<'SINYAL_AGENT'.*?\n(.*?)\nSINYAL_AGENT\n", text, re.DOTALL)
    for part in (text, agent):
        done = subprocess.run([*shell, "-n"], input=part, capture_output=True, text=True, timeout=10)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("asked", "origin", "shortest", "longest"),
    [
        ("", "ours", 45, 90),
        ("", "foreign", 45, 90),
        ("3600", "foreign", 90, 112),
        ("3600", "ours", 600, 750),
        ("20", "ours", 20, 25),
    ],
)
def test_a_pause_is_at_most_two_minutes_with_jitter_and_longer_only_where_the_service_asks_for_it(
    asked: str, origin: str, shortest: int, longest: int
) -> None:
    functions = "".join(
        re.search(rf"^{name}\(\) \{{.*?\}}$", rendered(AgentKind.LINUX), re.DOTALL | re.MULTILINE)[0] + "\n"  # type: ignore[index]
        for name in ("random_below", "back_off")
    )
    script = f"""
        BEAT_S=60 CODE=502 RUN=run started=0 pauses=30 origin={origin}
        read_number() {{ echo "$pauses"; }}
        write_file() {{ [ "$1" != run/pause ] || pauses=$2; [ "$1" != run/next ] || next=$2; }}
        log_message() {{ :; }}
        {functions}
        for n in 1 2 3 4 5 6 7 8 9; do PAUSE_S={asked}; back_off; [ $n -lt 4 ] || echo "$next"; done
    """
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=10, check=True)
    pauses = [int(line) for line in done.stdout.split()]
    assert shortest <= min(pauses) <= max(pauses) <= longest, done.stderr
    assert len(set(pauses)) > 1, "agents of many sites do not come back at once"


@pytest.mark.parametrize("kind", [AgentKind.OPENWRT, AgentKind.LINUX])
def test_a_truncated_script_does_nothing(kind: AgentKind, tmp_path_factory: pytest.TempPathFactory) -> None:
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
    """Return the brackets and quotes that stay open outside of strings and comments."""
    open_brackets, quote, offset = [], "", 0
    pairs = {")": "(", "]": "[", "}": "{"}
    if escape == "`":  # a here-string holds a script of its own
        text = text.replace("@'\n", "(").replace("\n'@\n", ")\n")
    while offset < len(text):
        character = text[offset]
        if quote:
            if character == escape and quote == '"':
                offset += 1
            elif escape == "\\" and text.startswith("$[", offset):
                open_brackets.append('"')
                quote, offset = "", offset + 1
            elif character == quote:
                quote = ""
        elif character == "#" and (offset == 0 or text[offset - 1] in " \n"):
            offset = text.find("\n", offset)
        elif character == '"' or (character == "'" and escape == "`"):
            quote = character
        elif character in "([{":
            open_brackets.append(character)
        elif character == "]" and open_brackets[-1:] == ['"']:
            open_brackets.pop()
            quote = '"'
        elif character in ")]}":
            assert open_brackets, text[offset - 60 : offset + 1]
            assert open_brackets.pop() == pairs[character], text[offset - 60 : offset + 1]
        offset += 1
    return [*open_brackets, *quote]


def test_powershell_can_parse_the_installer_and_the_agent_in_it() -> None:
    installer = rendered(AgentKind.WINDOWS)
    (agent,) = re.findall(r"@'\n(.*)\n'@", installer, re.DOTALL)
    parser_of_powershell = Parser(Language(tree_sitter_powershell.language()))
    for script in (installer, agent):
        assert not parser_of_powershell.parse(script.encode()).root_node.has_error
    assert parser_of_powershell.parse(agent.replace("function Uptime {", "").encode()).root_node.has_error


def test_the_routeros_script_sends_a_valid_push() -> None:
    text = rendered(AgentKind.ROUTEROS)
    variables = {
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
    variables["row"] = fill_in(text, "row", variables)
    variables["batch"] = variables["row"] + "," + variables["row"].replace("7", "8", 1).replace("21.866,22.001", "")
    variables["head"] = fill_in(text, "head", variables)
    push = parser.parse(parser.load(fill_in(text, "body", variables).encode()))
    assert push.faults == []
    assert (push.agent, push.boot, push.dropped, push.uptime_us) == ("routeros/2", "k3f9ab2c", 2, 788_651 * 1_000_000)
    assert [(row.seq, row.sent, row.rtt_us) for row in push.rows] == [(7, 3, (21866, 22001)), (8, 3, ())]
    headers = fill_in(text, "headers", variables)
    assert headers.count(",") == 1, "RouterOS splits headers at commas"
    assert headers.partition(",")[0] == f"Authorization: Bearer {TOKEN}"


def fill_in(text: str, name: str, variables: dict[str, str]) -> str:
    """Return a RouterOS string of the script with its variables filled in."""
    (string,) = re.findall(rf':local {name} "(.*)"\n', text)
    return re.sub(r"\$(\w+)", lambda match: variables[match[1]], string.replace('\\"', '"'))


def test_the_windows_script_sends_a_valid_push() -> None:
    text = rendered(AgentKind.WINDOWS)
    (row,) = re.findall(r"\$row = '(.*)' -f", text)
    (body,) = re.findall(r"\n    '(\{\{\"agent.*)' -f", text)
    row_json = row.format("k3f9ab2c", 7, "100.25", 3, "21,22")
    sent_at, epochs = ',"sent_at":"2026-11-25T03:00:01Z"', ',"epochs":{"k3f9ab2c":1795575599.50}'
    push = parser.parse(parser.load(body.format("k3f9ab2c", "101.50", 4, 0, sent_at, epochs, row_json).encode()))
    assert push.faults == []
    assert (push.agent, push.waiting, push.rows[0].rtt_us) == ("windows/2", 4, (21_000, 22_000))


def test_certificates_are_always_checked_over_https() -> None:
    text = rendered(AgentKind.ROUTEROS)
    assert text.count("check-certificate=yes-without-crl") == text.count("/tool fetch ") > 0
    assert "check-certificate" not in rendered(AgentKind.ROUTEROS, url="http://192.0.2.9:8000")
    for kind in scripts.FILES:
        assert re.search(r"check-certificate=no\b|--no-check|-k |SkipCertificate|insecure", rendered(kind)) is None


def test_devices_do_not_all_send_in_the_same_second() -> None:
    seconds = [scripts.jitter_s(f"64.02.05.{2000 + n}-01", 60) for n in range(1000)]
    assert set(seconds) == set(range(50))
    assert max(seconds.count(second) for second in range(50)) < 40


def test_the_install_commands_are_short_and_quoted() -> None:
    commands = install_commands.install_commands("https://sinyal.kaltimprov.go.id", "K7QX2MRD")
    assert all(len(line) < 250 and "\n" not in line for line in commands.values())
    assert "?" not in commands[AgentKind.ROUTEROS], "a question mark opens the help of its console"
    assert commands[AgentKind.LINUX] == (
        "(curl -sS -d 'code=K7QX2MRD&kind=linux' 'https://sinyal.kaltimprov.go.id/enrol' || "
        "wget -qO- --content-on-error --post-data='code=K7QX2MRD&kind=linux' "
        "'https://sinyal.kaltimprov.go.id/enrol') | sudo sh"
    )


def test_removal_on_linux_includes_the_private_folders_of_systemd() -> None:
    script = rendered(AgentKind.LINUX)
    removal = script[script.index("remove() {") :]
    for folder in ("/run/private/sinyal", "/run/sinyal", "/var/lib/private/sinyal", "/var/lib/sinyal"):
        assert f" {folder} " in removal.partition("}")[0], "the token lies there: RuntimeDirectoryPreserve"


def test_no_script_uses_a_folder_that_any_user_could_have_created() -> None:
    for kind in (AgentKind.OPENWRT, AgentKind.LINUX):
        assert re.search(r"^(RUN|SPOOL)=/tmp", rendered(kind), re.MULTILINE) is None


def test_windows_runs_nothing_from_a_folder_that_users_can_write() -> None:
    for script in (
        rendered(AgentKind.WINDOWS),
        install_commands.CHECK_COMMANDS[AgentKind.WINDOWS],
        install_commands.REMOVE_COMMANDS[AgentKind.WINDOWS],
    ):
        assert "ProgramData" not in script


@pytest.mark.parametrize("kind", scripts.FILES)
def test_removing_an_agent_revokes_its_token(kind: AgentKind) -> None:
    text = rendered(kind)
    assert "/api/v1/push/end" in text.replace('"$url/end"', '"https://x/api/v1/push/end"')


def test_no_install_command_leaves_a_file_with_the_token() -> None:
    commands = install_commands.install_commands("https://sinyal.example", "K7QX2MRD")
    assert commands[AgentKind.OPENWRT].endswith("; rm -f $f")
    assert commands[AgentKind.ROUTEROS].endswith("/file remove sd.rsc }")
