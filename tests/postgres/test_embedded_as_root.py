"""The user that the embedded PostgreSQL runs as when root starts it."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.postgres import binaries
from app.postgres.embedded import Cluster, NotPermitted

pytestmark = pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="only root steps down")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="sinyal-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_root_runs_it_without_its_powers(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.start()
    status = Path(f"/proc/{cluster.pid}/status").read_text()
    cluster.stop()
    powers = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    assert int(powers.split()[1], 16) == 0


@pytest.mark.parametrize("started_before", [True, False])
def test_where_namespaces_are_refused_an_account_runs_it(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, started_before: bool
) -> None:
    """`started_before`: the folder belongs to the account already, and root keeps to its owner."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(binaries, "_unshare", lambda: ())
    if started_before:
        (open_folder / "postgres").mkdir(mode=0o700)
        os.chown(open_folder / "postgres", nobody.pw_uid, nobody.pw_gid)
    cluster = Cluster(open_folder, account=None if started_before else "nobody")
    try:
        binaries.Identity(nobody.pw_uid, nobody.pw_gid).require_access(Path(binaries.program("postgres")))
    except NotPermitted:  # a checkout under /root: then that is what the operator reads
        with pytest.raises(NotPermitted, match="chmod"):
            cluster.start()
        return
    try:
        cluster.start()
        assert Path(f"/proc/{cluster.pid}").stat().st_uid == nobody.pw_uid
        assert (cluster.home / "data").stat().st_uid == nobody.pw_uid
    finally:
        cluster.stop()


def test_without_namespaces_and_account_root_is_told_what_to_do(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_unshare", lambda: ())
    with pytest.raises(NotPermitted, match="run as an ordinary user, name an existing account"):
        Cluster(open_folder, account="no-such-account").start()


def test_a_folder_the_account_may_not_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_unshare", lambda: ())
    tmp_path.chmod(0o700)
    with pytest.raises(NotPermitted, match="cannot enter"):
        Cluster(tmp_path, account="nobody").start()
