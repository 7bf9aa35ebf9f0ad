"""config/ha rendered for the machines of a cluster."""

from pathlib import Path

import pytest

from tests.cluster.configuration import APPS, DATABASES, FRONT, Configuration, environment
from tests.cluster.machines import Machines


@pytest.fixture
def files(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path, Machines([*DATABASES, *APPS, FRONT], separate=False), "127.0.0.0/8")


@pytest.mark.usefixtures("postgresql_named")
def test_each_database_machine_has_files_of_its_own(files: Configuration) -> None:
    members = {}
    for name in DATABASES:
        machine = files.machines[name]
        variables = environment(files.render("etcd.env", machine))
        assert (variables["ETCD_NAME"], variables["ETCD_DATA_DIR"]) == (name, str(files.folder / name / "etcd"))
        assert machine.address in variables["ETCD_LISTEN_CLIENT_URLS"]
        members[name] = variables["ETCD_INITIAL_CLUSTER"]
        patroni = files.render("patroni.yml", machine)
        assert f"name: {name}\n" in patroni
        assert f"connect_address: {machine.address}:5432" in patroni
        assert files.password("postgres") in patroni
        assert "change-me" not in patroni
    assert len(set(members.values())) == 1


@pytest.mark.usefixtures("postgresql_named")
def test_machines_of_the_service_reach_all_databases_from_beside_themselves(files: Configuration) -> None:
    for name in APPS:
        machine = files.machines[name]
        haproxy = files.render("haproxy.cfg", machine)
        assert all(f"server {node} {files.machines[node].address}:5432" in haproxy for node in DATABASES)
        assert f"listen_addr = {machine.address}" in files.render("pgbouncer.ini", machine)
        settings = environment(files.render("sinyal.env", machine))
        password = files.password("sinyal")
        assert settings["SINYAL_DATABASE_URL"] == f"postgresql://sinyal:{password}@{machine.address}:6432/sinyal"
    front = files.render("front.cfg", files.machines[FRONT])
    assert all(f"server {name} {files.machines[name].address}:8000" in front for name in APPS)


@pytest.fixture
def postgresql_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's PostgreSQL is only named in these files: they can be rendered where there is none."""
    monkeypatch.setattr("tests.cluster.configuration.postgres_bin", lambda: Path("/usr/lib/postgresql/15/bin"))
