"""The address that agents' scripts contain: that of ingest, as devices reach it."""

from typing import Any

import pytest

from app.agents import installation
from app.settings import Settings
from app.worker import ingest_heartbeat

HERE, PROXY = "http://10.9.8.7:8000", "https://sinyal.example"


@pytest.mark.parametrize(
    ("given", "request_url", "url"),
    [
        ({}, None, "http://127.0.0.1:8001"),
        ({}, f"{HERE}/", "http://10.9.8.7:8001"),
        (
            {"ingest_port": 9000, "root_path": "/sinyal"},
            "http://[2001:db8::1]:8000/sinyal",
            "http://[2001:db8::1]:9000",
        ),
        ({}, "https://behind.a.proxy/", "https://behind.a.proxy"),
        ({"public_url": f"{PROXY}/"}, HERE, PROXY),
        ({"public_url": PROXY, "ingest_url": "http://192.0.2.1:8001/"}, HERE, "http://192.0.2.1:8001"),
    ],
)
def test_agents_send_to_ingest(given: dict[str, Any], request_url: str | None, url: str) -> None:
    assert installation.ingest_url(Settings(database_url=None, **given), request_url) == url


@pytest.mark.parametrize("root_path", ["", "/sinyal"])
@pytest.mark.parametrize("ingest_url", [None, "http://192.0.2.1:8001"])
@pytest.mark.parametrize("public_url", [PROXY, f"{PROXY}/sinyal"])
def test_our_own_heartbeat_goes_where_agents_send(root_path: str, ingest_url: str | None, public_url: str) -> None:
    given = Settings(database_url=None, root_path=root_path, ingest_url=ingest_url, public_url=public_url)
    assert ingest_heartbeat.base_url(given) == installation.ingest_url(given, HERE)


def test_ingest_by_an_address_of_its_own_stands_behind_no_path() -> None:
    given = Settings(database_url=None, root_path="/sinyal", ingest_url="http://192.0.2.1:8001")
    assert ingest_heartbeat.base_url(given) == "http://192.0.2.1:8001"


def test_people_are_sent_to_the_api() -> None:
    settings = Settings(database_url=None, ingest_url="http://192.0.2.1:8001")
    assert installation.public_url(settings, f"{HERE}/") == HERE
