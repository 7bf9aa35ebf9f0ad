"""Requests for sites: parameters, cursors, versions, bodies, idempotency."""

from collections.abc import AsyncIterator

import pytest

from app.web.pagination import cursor_codec
from tests.conftest import Cast
from tests.factories import register, site


async def test_a_nul_in_a_parameter_is_refused(cast: Cast) -> None:
    for path in ("/sites/1%00", "/sites?q=%00", "/regions?parent=64%00", "/status?region=%00"):
        answer = await cast.sari.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "nul")


async def test_requests_without_a_valid_token_are_refused(cast: Cast) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic abc"}, {"Authorization": ""}):
        answer = await cast.stranger.get("/sites", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"].endswith("/not-signed-in")


@pytest.mark.parametrize("inside", ["\0", "99999999999", "-1", "0", "x", "0001-01-01T00:00:00+23:00~central", "a~b~c"])
async def test_an_invalid_cursor_is_refused(cast: Cast, inside: str) -> None:
    made = await register(cast)
    paths = ["/sites", "/providers", f"/sites/{made['id']}/segments", f"/sites/{made['id']}/measurements"]
    for path in paths + (["/regions"] if inside == "\0" else []):
        answer = await cast.sari.get(path, params={"cursor": cursor_codec(str).write(inside)})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor"), path


@pytest.mark.parametrize("version", ["9" * 30, "9" * 5000, "x", "-1", '"', "1.5"])
async def test_an_invalid_version_is_refused(cast: Cast, version: str) -> None:
    made = await register(cast)
    answer = await cast.sari.patch(f"/sites/{made['id']}", {"name": "x"}, headers={"If-Match": version})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "If-Match")


async def test_a_parameter_that_does_not_exist_or_comes_twice_is_refused(cast: Cast) -> None:
    for path, code in (
        ("/status?tehnology=geo", "unknown_parameter"),
        ("/sites?limit=1&limit=2", "repeated"),
        ("/sites?region=6402", "unknown_region"),
        ("/status?region=", "unknown_region"),
    ):
        answer = await cast.sari.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), path
    assert "technology" in (await cast.sari.get("/status?tehnology=geo")).json()["errors"][0]["suggestion"]
    assert "64.02" in (await cast.sari.get("/sites?region=6402")).json()["errors"][0]["suggestion"]


async def test_a_large_body_is_refused_and_that_of_a_stranger_is_not_read(cast: Cast) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 50_000

    for content in (b" " * 2_000_000, chunks()):
        answer = await cast.sari.client.post("/api/v1/sites", content=content)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-large")
        assert answer.json()["detail"] == "At most 1 MB per request: split it into several"
    assert (await cast.stranger.client.post("/api/v1/sites", content=b"{")).status_code == 401


async def test_head_is_get_without_its_body(cast: Cast) -> None:
    answer = await cast.sari.client.head("/api/v1/sites")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_pages_follow_each_other_without_gap_or_repeat(cast: Cast) -> None:
    made = [(await register(cast, host=f"198.51.100.{n}"))["id"] for n in range(1, 8)]
    for order, expected in ((None, made), ("oldest", made), ("newest", made[::-1])):
        seen: list[int] = []
        params: dict[str, str | int] = {"limit": 2, **({"order": order} if order else {})}
        for _ in range(4):
            page = (await cast.sari.get("/sites", params=params)).json()
            seen += [item["id"] for item in page["items"]]
            params["cursor"] = page["next_cursor"]
        assert (seen, page["next_cursor"]) == (expected, None)
    assert (await cast.sari.get("/sites", params={"cursor": "%%%"})).status_code == 422
    assert (await cast.sari.get("/sites", params={"limit": 1001})).status_code == 422


async def test_the_same_idempotency_key_makes_one_site(cast: Cast) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await cast.ana.post("/sites", site(), headers=headers)
    again = await cast.ana.post("/sites", site(), headers=headers)
    other = await cast.ana.post("/sites", site(host="198.51.100.77"), headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json()["id"] == again.json()["id"]
