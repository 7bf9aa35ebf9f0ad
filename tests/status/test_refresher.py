"""What the refresher does about errors: an unavailable database is waited for, anything else is reported."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.testing import capture_logs

from app.postgres.engine import Sessions
from app.status.refresher import SnapshotRefresher
from app.status.row import StatusEntry
from app.status.snapshot import Snapshot
from app.status.store import CountersAndBeats
from tests.conftest import Cast
from tests.factories import register
from tests.support.status import judge, status


class FailingSnapshot(Snapshot):
    """Fails each refresh with the given error while it has one."""

    error: Exception | None = None
    attempts = 0

    async def refresh(self, sessions: Sessions, known: CountersAndBeats | None = None) -> None:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        await super().refresh(sessions, known)


def fail_for(site_id: int, method: Callable[..., Any]) -> Callable[..., Any]:
    def failing(*args: Any, **options: Any) -> Any:
        ids = {getattr(arg, "id", None) or getattr(getattr(arg, "site", None), "id", None) for arg in args}
        if site_id in ids:
            raise TypeError("unsupported operand")
        return method(*args, **options)

    return failing


async def readiness(cast: Cast) -> dict[str, Any]:
    return (await cast.vera.client.get("/readyz")).json()  # type: ignore[no-any-return]


async def test_a_row_that_cannot_be_read_is_set_aside_and_does_not_stop_the_others(
    app: FastAPI, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, poison = await register(cast), await register(cast, host="198.51.100.2")
    await status(app, cast.vera)
    with monkeypatch.context() as patch, capture_logs() as logs:
        for reading in ("from_row", "move"):
            patch.setattr(StatusEntry, reading, fail_for(poison["id"], getattr(StatusEntry, reading)))
        for _ in range(2):
            await judge(session, sound["id"], "up")
            await judge(session, poison["id"], "down")
            sites = await status(app, cast.vera)
            assert sites[sound["code"]]["state"] == "up"
        (rejected,) = [entry for entry in logs if entry["event"] == "status_row_rejected"]
        assert (rejected["site"], rejected["log_level"]) == (poison["id"], "error"), "once, until it is read again"
        assert isinstance(rejected["exc_info"], TypeError)
        assert any("1 site" in warning for warning in (await readiness(cast))["warnings"])
    await judge(session, poison["id"], "down")
    assert (await status(app, cast.vera))[poison["code"]]["state"] == "down"
    assert not any("1 site" in warning for warning in (await readiness(cast))["warnings"])


async def test_a_row_that_cannot_be_read_is_not_shown_to_a_provider_that_it_has_left(
    app: FastAPI, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = await register(cast, provider="iconplus")
    assert poison["code"] in await status(app, cast.icon)
    monkeypatch.setattr(StatusEntry, "from_row", fail_for(poison["id"], StatusEntry.from_row))
    assert (await cast.sari.patch(f"/sites/{poison['id']}", {"provider": "telkom-wms"})).status_code == 200
    assert await status(app, cast.icon) == {}


async def test_a_site_that_cannot_be_rendered_is_removed_and_does_not_stop_the_others(
    app: FastAPI, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, poison = await register(cast), await register(cast, host="198.51.100.2")
    before = (await status(app, cast.vera)).keys()
    assert before == {sound["code"], poison["code"]}
    version = (await cast.vera.get("/status")).json()["version"]
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(StatusEntry, "publish", fail_for(poison["id"], StatusEntry.publish))
        await judge(session, sound["id"], "up")
        await judge(session, poison["id"], "down")
        sites = await status(app, cast.vera)
        assert {code: site["state"] for code, site in sites.items()} == {sound["code"]: "up"}
        assert [entry["site"] for entry in logs if entry["event"] == "status_row_rejected"] == [poison["id"]]
    changes = (await cast.vera.get("/status", params={"since": version})).json()
    assert ([site["id"] for site in changes["changed"]], changes["removed"]) == ([sound["id"]], [poison["id"]])
    await judge(session, poison["id"], "down")
    assert (await status(app, cast.vera))[poison["code"]]["state"] == "down", "shown again once it can be"


async def run_until(refresher: SnapshotRefresher, condition: Callable[[], bool]) -> None:
    running = asyncio.create_task(refresher.run())
    try:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # watched from outside
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await refresher.close()


async def test_an_error_of_our_own_is_logged_with_its_traceback_and_told_until_a_refresh_succeeds(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    url, _, sessions = committed_database
    snapshot = FailingSnapshot(refresh_s=10)
    snapshot.error = TypeError("unsupported operand")
    with capture_logs() as logs:
        await run_until(SnapshotRefresher(snapshot, sessions, url), lambda: snapshot.attempts >= 3)
    failures = [entry for entry in logs if entry["event"] == "status_refresh_failed"]
    assert [(entry["log_level"], entry["exc_info"]) for entry in failures] == [("error", snapshot.error)]
    assert snapshot.refresh_error == "TypeError"
    snapshot.error = None
    await run_until(SnapshotRefresher(snapshot, sessions, url), lambda: snapshot.loaded)
    assert snapshot.refresh_error is None


async def test_an_unavailable_database_is_no_error_of_our_own(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    url, _, sessions = committed_database
    snapshot = FailingSnapshot(refresh_s=10)
    snapshot.error = OperationalError("SELECT 1", {}, ConnectionRefusedError())
    with capture_logs() as logs:
        await run_until(SnapshotRefresher(snapshot, sessions, url), lambda: snapshot.attempts >= 3)
    assert [entry["log_level"] for entry in logs if entry["event"] == "database_unavailable"] == ["warning"]
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    assert snapshot.refresh_error is None


async def test_it_ends_though_an_error_takes_the_place_of_its_cancellation(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    url, _, sessions = committed_database
    refreshing = asyncio.Event()

    class Closing(Snapshot):
        async def refresh(self, sessions: Sessions, known: CountersAndBeats | None = None) -> None:
            refreshing.set()
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("the connection was closed in the middle")

    task = asyncio.create_task(SnapshotRefresher(Closing(refresh_s=10), sessions, url).run())
    await refreshing.wait()
    task.cancel()
    ended, _ = await asyncio.wait((task,), timeout=5)
    assert ended == {task}
    assert task.cancelled(), "an orderly stop, not an error that the log tells with its traceback"


async def test_an_error_of_our_own_makes_the_service_not_ready(app: FastAPI, cast: Cast) -> None:
    await status(app, cast.vera)
    assert (await readiness(cast))["problems"] == []
    app.state.snapshot.refresh_error = "TypeError"
    (problem,) = (await readiness(cast))["problems"]
    assert "TypeError" in problem
