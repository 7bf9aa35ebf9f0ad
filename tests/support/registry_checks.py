"""Read the findings of the registry's checks over the API."""

from typing import Any

from tests.conftest import Person


async def list_findings(person: Person, check: str, **params: str) -> list[dict[str, Any]]:
    answer = await person.get("/registry/checks", params={"check": check, "limit": "1000", **params})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    assert all(item["check"] == check and item["message"] and item["suggestion"] for item in items)
    return items


async def sites_found(person: Person, check: str, **params: str) -> list[str | None]:
    """Return the code of each finding's site."""
    return [item["code"] for item in await list_findings(person, check, **params)]
