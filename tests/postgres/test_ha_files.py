"""The files of config/ha: each is rendered for its machines, and refused where a name is missing or may be misread."""

import re
import subprocess
from pathlib import Path

import pytest

from app.postgres.engine import NEW_GENERATION
from app.settings import CONFIG_DIR, load
from tests.support.pooler import rendered

FOLDER = CONFIG_DIR / "ha"
OF_DATABASES = {"etcd.env", "patroni.yml", "backup"}
FILES = sorted(path.name for path in FOLDER.iterdir() if path.name not in {"names.env", "render"})


def render(machine: str, file: str, names: Path = FOLDER / "names.env") -> subprocess.CompletedProcess[str]:
    argv = [str(FOLDER / "render"), machine, file, str(names)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_rendered_whole(file: str) -> None:
    done = render("db2", file)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"@[A-Z]", done.stdout)
    assert render("app1", file).returncode == (1 if file in OF_DATABASES else 0)


def test_a_node_is_told_its_own_address() -> None:
    rendered_lines = [line.strip() for line in render("db3", "patroni.yml").stdout.splitlines()]
    assert {"name: db3", "listen: 10.20.0.13:5432", "synchronous_mode: quorum"} < set(rendered_lines)


def test_etcd_is_reached_by_its_own_machines_alone() -> None:
    (etcd,) = [line for line in render("db1", "nftables.conf").stdout.splitlines() if "2379, 2380 } ip saddr" in line]
    assert etcd.strip().endswith("ip saddr != { 10.20.0.11, 10.20.0.12, 10.20.0.13, 127.0.0.0/8 } drop")


def test_what_devices_send_to_the_address_of_pages_reaches_ingest() -> None:
    front = render("front", "front.cfg").stdout
    pages = front[front.index("frontend pages") : front.index("frontend devices")]
    assert pages.index("use_backend ingest if { path_beg /api/v1/push ") < pages.index("use_backend api_alive")


def test_a_password_that_a_file_may_read_otherwise_is_refused(tmp_path: Path) -> None:
    names = tmp_path / "names.env"
    names.write_text((FOLDER / "names.env").read_text().replace("SINYAL_PASSWORD=change-me", "SINYAL_PASSWORD=a|b&c"))
    refused = render("app1", "userlist.txt", names)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "SINYAL_PASSWORD" in refused.stderr
    assert "a|b" not in refused.stderr


def test_the_settings_are_ones_that_the_service_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in rendered("sinyal.env", tmp_path, SECRET_KEY="s" * 40).splitlines():
        if not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    settings = load()
    assert settings.is_pooled
    assert settings.database_read_url == "postgresql+asyncpg://sinyal:change-me@127.0.0.1:5001/sinyal"


def test_a_restore_to_a_point_in_time_begins_a_new_generation_as_a_restored_backup_does() -> None:
    statement = " ".join(re.sub(r"--.*", "", (FOLDER / "restored.sql").read_text()).split())
    assert statement == f"{NEW_GENERATION};"
