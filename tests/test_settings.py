import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runtime import data_dir
from app.settings import GROUPS, ROOT, Settings, SettingsError, load
from tests.support.forked_commands import ForkedCommands

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("SINYAL_") or name == "STATE_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a settings file and makes it the one that is read."""

    def write(text: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(text)
        monkeypatch.setenv("SINYAL_CONFIG", str(path))
        return path

    return write


def refusal() -> str:
    """The one line that stops the start."""
    with pytest.raises(SettingsError) as refused:
        load()
    line = str(refused.value)
    assert "\n" not in line
    return line


def test_the_settings_file_that_we_ship_says_the_defaults() -> None:
    assert load() == Settings()


def test_every_setting_is_described_in_the_settings_file() -> None:
    described = (ROOT / "config" / "sinyal.toml").read_text()
    assert [name for name in Settings.model_fields if name not in described] == []
    inside = [name for group in GROUPS.values() for name in group.model_fields]
    assert [name for name in inside if name not in described] == []


def test_the_environment_wins_over_the_file(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    config('port = 8100\nhost = "0.0.0.0"\n[probe]\ninterval_s = 30\nbuffer_readings = 2000\n')
    monkeypatch.setenv("SINYAL_PORT", "8200")
    monkeypatch.setenv("SINYAL_PROBE__INTERVAL_S", "10")
    found = load()
    assert (found.port, found.host) == (8200, "0.0.0.0")
    assert (found.probe.interval_s, found.probe.buffer_readings) == (10, 2000)


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("postgresql://sinyal:s3cret@db/sinyal\n")
    monkeypatch.setenv("SINYAL_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert load().database_url == "postgresql+asyncpg://sinyal:s3cret@db/sinyal"


def test_the_environment_wins_over_a_secret_file_and_that_over_the_settings_file(
    config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config("port = 8100\n")
    (tmp_path / "port").write_text("8200\n")
    monkeypatch.setenv("SINYAL_PORT_FILE", str(tmp_path / "port"))
    assert load().port == 8200
    monkeypatch.setenv("SINYAL_PORT", "8300")
    assert load().port == 8300


def test_a_secret_file_that_is_missing_or_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    monkeypatch.setenv("SINYAL_HEARTBEAT_URL_FILE", str(secret))
    assert refusal() == f"SINYAL_HEARTBEAT_URL_FILE: {secret}: No such file or directory"
    secret.write_bytes(b"\xff\xfe\x00")
    assert refusal() == f"SINYAL_HEARTBEAT_URL_FILE: {secret}: not a text"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SINYAL_PROT", "; did you mean SINYAL_PORT?"),
        ("SINYAL_DATABASE_ULR", "; did you mean SINYAL_DATABASE_URL?"),
        ("SINYAL_PROBE__ALOW", "; did you mean SINYAL_PROBE__ALLOW?"),
        ("SINYAL_PORT__X", "; did you mean SINYAL_PORT?"),
        ("SINYAL_CONFIG_FILE", "; did you mean SINYAL_CONFIG?"),
        ("SINYAL_PROBE__ALLOW_FILE", "; did you mean SINYAL_PROBE__ALLOW?"),
        ("SINYAL_QQQQ", ""),
    ],
)
def test_an_unknown_variable_is_refused_with_a_guess(name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert refusal() == f"unknown setting {name}{hint}"


def test_an_unknown_name_in_the_file_is_refused_without_its_value(config: Write) -> None:
    path = config('data_base_url = "postgresql://u:s3cret@db/sinyal"\n')
    assert refusal() == f"settings file {path}: unknown setting data_base_url; did you mean database_url?"
    path = config("[probe]\nalow = []\n")
    assert refusal() == f"settings file {path}: unknown setting probe.alow; did you mean allow?"
    path = config("probe = 5\n")
    assert refusal() == f"settings file {path}: probe is a table, written [probe]"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PORT", "99999", "Input should be less than or equal to 65535 (given: '99999')"),
        ("PORT", "web", "Input should be a valid integer, unable to parse string as an integer (given: 'web')"),
        ("RAW_RETENTION_DAYS", "1", "Input should be greater than or equal to 8 (given: '1')"),
        ("PROBE__INTERVAL_S", "0", "Input should be greater than or equal to 5 (given: '0')"),
        ("PROBE__ALLOW", "10.0.0.1/8", "10.0.0.1/8 has host bits set (given: '10.0.0.1/8')"),
        ("CANARIES", "a b", "'a b' is neither an address nor a DNS name (given: 'a b')"),
        ("ROOT_PATH", "sinyal/", "must begin with / and not end with one (given: 'sinyal/')"),
        ("PUBLIC_URL", "sinyal.example", "must begin with http:// or https://"),
        ("HEARTBEAT_URL", "https://", "has no host, or no valid port"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SINYAL_{name}", value)
    assert refusal() == f"setting SINYAL_{name}: {line}"


def test_a_long_wrong_value_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINYAL_PORT", "8" * 5000 + "\nx")
    assert len(refusal()) < 200


@pytest.mark.parametrize(
    "url",
    [
        "mysql://sinyal:s3cret@db/sinyal",
        "s3cret",
        "postgresql://sinyal:s3cret@db:port/sinyal",
        "postgresql://sinyal:s3cret/more@db/sinyal",
    ],
)
def test_a_wrong_url_never_shows_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SINYAL_DATABASE_URL", "SINYAL_DATABASE_DIRECT_URL"):
        monkeypatch.setenv(name, url)
        line = refusal()
        assert line.startswith(f"setting {name}: ")
        assert "s3cret" not in line
        monkeypatch.delenv(name)


def test_lists_are_separated_by_commas(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    config('canaries = ["9.9.9.9"]\n[probe]\nallow = ["10.9.0.0/16"]\ndeny = ["203.0.113.0/24"]\n')
    monkeypatch.setenv("SINYAL_CANARIES", "1.1.1.1, dns.example,2606:4700::1111")
    monkeypatch.setenv("SINYAL_PROBE__ALLOW", "10.1.0.0/16, 127.0.0.0/8,")
    found = load()
    assert found.canaries == ["1.1.1.1", "dns.example", "2606:4700::1111"]
    assert found.probe.allow == ["10.1.0.0/16", "127.0.0.0/8"]
    assert found.probe.deny == ["203.0.113.0/24"]


@pytest.mark.parametrize("value", ["5", '"10.0.0.0/33"', "[5]", "[[]]"])
def test_a_list_of_no_networks_is_a_line_too(value: str, config: Write) -> None:
    config(f"[probe]\nallow = {value}\n")
    assert refusal().startswith("setting SINYAL_PROBE__ALLOW: ")


def test_the_data_folder_is_systemds_unless_somebody_says_otherwise(
    config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().data_dir == Path("var")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/sinyal:/var/lib/more")
    assert load().data_dir == Path("/var/lib/sinyal")
    config('data_dir = "/srv/file"\n')
    assert load().data_dir == Path("/srv/file")
    monkeypatch.setenv("SINYAL_DATA_DIR", "/srv/variable")
    assert load().data_dir == Path("/srv/variable")


def test_a_settings_file_that_cannot_be_read_is_named(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config("port = = 8000\n")
    assert refusal() == f"settings file {path} cannot be read: Invalid value (at line 1, column 8)"
    path.write_bytes(b"\xff")
    assert refusal().startswith(f"settings file {path} cannot be read: ")
    monkeypatch.setenv("SINYAL_CONFIG", str(path.parent))
    assert refusal() == f"settings file {path.parent} cannot be read: Is a directory"
    monkeypatch.setenv("SINYAL_CONFIG", "/no/such.toml")
    assert refusal() == "settings file /no/such.toml does not exist"


def test_a_data_folder_is_made_closed_to_others_and_claimed_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        data_dir.claim(folder, data_dir.SERVICE)
    assert data_dir.purpose_of(folder) == data_dir.SERVICE
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_foreign_data_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(SettingsError, match="not empty and not ours; set SINYAL_DATA_DIR"):
        data_dir.claim(tmp_path, data_dir.SERVICE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="File exists"):
        data_dir.claim(tmp_path / "file", data_dir.SERVICE)


def test_a_file_system_of_its_own_is_no_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    data_dir.claim(tmp_path, data_dir.SERVICE)


@pytest.mark.parametrize(("mine", "other"), [("service", "demo"), ("demo", "service")])
def test_demo_and_service_never_share_a_folder(mine: str, other: str, tmp_path: Path) -> None:
    data_dir.claim(tmp_path, mine)
    with pytest.raises(SettingsError, match="simulated and real measurements never share one"):
        data_dir.claim(tmp_path, other)


def test_a_crash_while_claiming_leaves_a_folder_that_can_be_claimed(tmp_path: Path) -> None:
    (tmp_path / data_dir.MARK).touch()
    data_dir.claim(tmp_path, data_dir.DEMO)
    assert data_dir.purpose_of(tmp_path) == data_dir.DEMO


def sinyal(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_up_with_a_wrong_setting_says_one_line_and_ends_with_2(tmp_path: Path) -> None:
    ended = sinyal("up", cwd=tmp_path, SINYAL_DATABASE_URL="mysql://u:s3cret@db/x")
    assert (ended.returncode, ended.stdout) == (2, "")
    must = "must begin with postgresql:// (PostgreSQL is the only database)"
    assert ended.stderr == f"sinyal: setting SINYAL_DATABASE_URL: {must}\n"
    assert list(tmp_path.iterdir()) == []


def test_up_in_a_foreign_folder_says_one_line_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    ended = sinyal("up", cwd=tmp_path, SINYAL_DATA_DIR=str(tmp_path), SINYAL_PORT="18765")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(f"sinyal: data folder {tmp_path} is not empty and not ours")


@pytest.mark.parametrize("command", ["worker", "api", "migrate", "demo", "status", "doctor"])
def test_every_command_refuses_an_unknown_setting(command: str, forked_commands: ForkedCommands) -> None:
    ended = forked_commands.run(command, environment={"PATH": os.environ["PATH"], "SINYAL_PROT": "1"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "sinyal: unknown setting SINYAL_PROT; did you mean SINYAL_PORT?\n"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with data_dir.claimed(tmp_path, data_dir.DEMO), pytest.raises(SettingsError, match="in use"):  # noqa: SIM117
        with data_dir.claimed(tmp_path, data_dir.DEMO):
            raise AssertionError
    with data_dir.claimed(tmp_path, data_dir.DEMO):
        pass


def test_a_canary_that_may_not_be_asked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINYAL_CANARIES", "127.0.0.1,10.0.0.1")
    with pytest.raises(SettingsError, match="SINYAL_CANARIES"):
        load()
    monkeypatch.setenv("SINYAL_PROBE__ALLOW", "127.0.0.0/8,10.0.0.0/8")
    assert load().canaries == ["127.0.0.1", "10.0.0.1"]


def test_what_is_hidden_from_the_public_page_must_exist(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    config('[public]\nhidden_regions = ["64.02"]\n[public.contacts]\n"64.03" = "Diskominfo Berau"\n')
    public = load().public
    assert (public.hidden_regions, public.contacts) == (["64.02"], {"64.03": "Diskominfo Berau"})
    monkeypatch.setenv("SINYAL_PUBLIC__HIDDEN_REGIONS", "64.02,64.2")
    assert "there is no region '64.2'" in refusal()
    monkeypatch.setenv("SINYAL_PUBLIC__HIDDEN_REGIONS", "64.02")
    monkeypatch.setenv("SINYAL_PUBLIC__HIDDEN_TECHNOLOGIES", "satellite")
    assert "'satellite' is no technology" in refusal()
