"""Accounts of a running demo, created over its API by the first account."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.support.demo_process import Demo

PASSWORD = "perahu ketinting pagi hujan"


@contextmanager
def administering(running: Demo) -> Iterator[httpx.Client]:
    """Sign in as the first account, which sets a password of its own; yield its client."""
    with httpx.Client(base_url=f"{running.url}/api/v1", timeout=20, trust_env=False) as client:
        _post(client, "/session", {"username": "admin", "password": running.first_password})
        _post(client, "/me/password", {"current_password": running.first_password, "new_password": PASSWORD})
        yield client


def create_account(client: httpx.Client, username: str, role: str, region: str = "64") -> None:
    """Create an account whose password is PASSWORD."""
    body = {"username": username, "name": username.title(), "role": role, "region_code": region, "password": PASSWORD}
    _post(client, "/accounts", body)


def _post(client: httpx.Client, path: str, body: dict[str, str]) -> None:
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    if answer.content and "csrf_token" in answer.json():
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
