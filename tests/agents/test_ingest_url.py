"""The address that agents' scripts contain: that of ingest, as devices reach it."""

from typing import Any

import pytest

from app.agents import installation
from app.settings import Settings

HERE, PROXY = "http://10.9.8.7:8000", "https://sinyal.example"


@pytest.mark.parametrize(
    ("given", "request_url", "url"),
    [
        ({}, None, "http://127.0.0.1:8001"),
        ({}, f"{HERE}/", "http://10.9.8.7:8001"),
        ({"ingest_port": 9000}, "http://[2001:db8::1]:8000/sinyal", "http://[2001:db8::1]:9000/sinyal"),
        ({}, "https://behind.a.proxy/", "https://behind.a.proxy"),
        ({"public_url": f"{PROXY}/"}, HERE, PROXY),
        ({"public_url": PROXY, "ingest_url": "http://192.0.2.1:8001/"}, HERE, "http://192.0.2.1:8001"),
    ],
)
def test_agents_send_to_ingest(given: dict[str, Any], request_url: str | None, url: str) -> None:
    assert installation.ingest_url(Settings(database_url=None, **given), request_url) == url


def test_people_are_sent_to_the_api() -> None:
    settings = Settings(database_url=None, ingest_url="http://192.0.2.1:8001")
    assert installation.public_url(settings, f"{HERE}/") == HERE
