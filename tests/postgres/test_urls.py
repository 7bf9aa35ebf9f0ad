"""The URL of a database that several machines serve, as SQLAlchemy, asyncpg and libpq's programs read it."""

import pytest
from sqlalchemy.engine import make_url

from app.core.database_url import driver_url
from app.postgres.backup import connection_environment
from app.postgres.urls import dsn, hosts_and_ports

SEVERAL = "postgresql://sinyal:s%40cret@a:5433,b,192.0.2.1:5434/sinyal?target_session_attrs=read-write"
ONE = "postgresql://sinyal:secret@db.example:6432/sinyal"
SOCKET = "postgresql://sinyal:secret@/sinyal?host=%2Frun%2Fpostgres&port=5432"


def test_several_hosts_keep_their_ports_for_each_reader() -> None:
    url = driver_url(SEVERAL)
    assert make_url(url).query["host"] == ("a:5433", "b:5432", "192.0.2.1:5434")
    wanted = "postgresql://sinyal:s%40cret@a:5433,b:5432,192.0.2.1:5434/sinyal?target_session_attrs=read-write"
    assert dsn(url) == wanted
    assert hosts_and_ports(url) == [("a", "5433"), ("b", "5432"), ("192.0.2.1", "5434")]
    variables = connection_environment(url)
    assert variables["PGHOST"] == "a,b,192.0.2.1"
    assert variables["PGPORT"] == "5433,5432,5434"
    assert variables["PGTARGETSESSIONATTRS"] == "read-write"
    assert variables["PGPASSWORD"] == "s@cret"


def test_one_host_or_socket_is_as_it_was_given() -> None:
    assert dsn(driver_url(ONE)) == ONE
    assert hosts_and_ports(driver_url(ONE)) == [("db.example", "6432")]
    assert hosts_and_ports(driver_url(SOCKET)) == [("/run/postgres", "5432")]
    assert connection_environment(driver_url(SOCKET))["PGHOST"] == "/run/postgres"
    assert dsn(driver_url(f"{ONE}?ssl=require")) == f"{ONE}?sslmode=require"


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://u:p@a:5432,b:0/x",
        "postgresql://u:p@a:secret,b/x",
        "postgresql://u:secret@a,[::1]:5432/x",
        "mysql://a/x",
    ],
)
def test_a_wrong_url_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with|no valid port|lists an IPv6") as caught:
        driver_url(wrong)
    assert "secret" not in str(caught.value)
