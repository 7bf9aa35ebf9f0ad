"""The record of the running instance of a data folder."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime import instance
from app.settings import ProbeSettings, Settings
from probes.policy import Forbidden

LOOPBACK = "127.0.0.0/8"


def test_an_instance_is_found_while_it_runs_and_not_after(tmp_path: Path) -> None:
    with instance.recorded(Settings(data_dir=tmp_path, port=8123)):
        running = instance.find_running(tmp_path)
        assert running is not None
        assert (running.host, running.port) == ("127.0.0.1", 8123)
    assert instance.find_running(tmp_path) is None


def test_the_record_of_a_killed_instance_is_ignored(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom app.runtime import instance\nfrom app.settings import Settings\n"
        "with instance.recorded(Settings(data_dir=Path(sys.argv[1]))):\n    print('recorded', flush=True)\n"
        "    sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        assert instance.find_running(tmp_path) is not None
        process.kill()
    assert (tmp_path / instance.NAME).exists()
    assert instance.find_running(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x"}', "\x00"])
def test_an_unreadable_record_is_ignored(tmp_path: Path, content: str) -> None:
    with (tmp_path / instance.NAME).open("w") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        record.write(content)
        record.flush()
        assert instance.find_running(tmp_path) is None


def test_the_policy_is_that_of_the_instance_on_the_same_database(tmp_path: Path) -> None:
    ours = Settings(data_dir=tmp_path, database_url=None)
    other = Settings(data_dir=tmp_path, database_url="postgresql://sinyal:s3cret@db.example/other")
    with instance.recorded(ours, allow=[LOOPBACK]):
        instance.probe_policy(ours).check_host("127.1.1.1")
        with pytest.raises(Forbidden):
            instance.probe_policy(other).check_host("127.1.1.1")
    with pytest.raises(Forbidden):
        instance.probe_policy(ours).check_host("127.1.1.1")


def test_the_record_keeps_no_password_and_a_network_denied_stays_denied(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url="postgresql://sinyal:s3cret@db.example/sinyal",
        probe=ProbeSettings(deny=["203.0.113.0/24"]),
    )
    with instance.recorded(settings):
        assert "s3cret" not in (tmp_path / instance.NAME).read_text()
        with pytest.raises(Forbidden):
            instance.probe_policy(settings).check_host("203.0.113.5")
