"""Health, readiness, the OpenAPI document and the docs page."""

import re
from importlib import import_module
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.availability.schemas import SegmentsOut, UptimeOut
from app.judging.schemas import MeasurementsOut
from app.latency.schemas import SiteLatencyOut
from app.postgres.engine import Base
from app.registry.schemas import SiteIn, SiteOut, SitePatch
from app.settings import ROOT
from app.status.schemas import StatusOut
from probes.contract import SILENCE
from tests.conftest import Cast
from tests.factories import register

OPEN = ("/api/v1/speedtest", "/api/v1/visits")  # by a grant, and to anybody


async def test_it_is_ready_once_the_database_is_migrated_and_the_snapshot_is_loaded(app: FastAPI, cast: Cast) -> None:
    client = cast.stranger.client
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    early = await client.get("/readyz")
    assert (early.status_code, early.json()) == (503, {"ready": False})
    await app.state.snapshot.refresh(app.state.sessions)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


async def test_readiness_tells_a_stranger_nothing_of_when_we_see_or_hear_nothing(app: FastAPI, cast: Cast) -> None:
    await app.state.snapshot.refresh(app.state.sessions)
    for headers in ({}, {"Authorization": "Bearer made-up"}, {"Cookie": "sinyal_session=made-up"}):
        told = await cast.stranger.client.get("/readyz", headers=headers)
        assert (told.status_code, told.json()) == (200, {"ready": True})
    details = (await cast.vera.client.get("/readyz")).json()
    assert details.keys() == {"ready", "problems", "warnings", "worker_beat_age_s", "blind_since", "deaf_since"}


async def test_readiness_warns_where_sites_report_themselves_and_are_not_proven_to_be_heard(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    async def warnings() -> list[str]:
        await app.state.snapshot.refresh(app.state.sessions)
        return list((await cast.vera.client.get("/readyz")).json()["warnings"])

    assert await warnings() == []
    await register(cast, probe="push", host=None, technology="leo")
    assert await warnings() == []
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures) "
                "VALUES (:source, now(), now(), now(), '{}')"
            ),
            {"source": SILENCE},
        )
    (warning,) = await warnings()
    assert "our own push heartbeat does not arrive" in warning


async def test_the_models_are_what_the_migrations_made(engine: AsyncEngine) -> None:
    for file in (ROOT / "app").glob("*/models.py"):
        import_module(f"app.{file.parent.name}.models")  # so that every table is known

    def differences(connection: Any) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    rewritten = {"uq_site_active_address", "ix_push_source_network"}  # PostgreSQL rewrites CASE
    internal = {"change_counter", "idempotent_answer", *rewritten}
    missing = [d for d in found if not _ours(d[1].name, internal)]
    assert missing == []


def _ours(name: str, internal: set[str]) -> bool:
    return name in internal or re.fullmatch(r"measurement_\d{8}(_\d\d)?|reading_pack_\d{8}", name) is not None


async def test_the_description_is_complete(app: FastAPI, cast: Cast) -> None:
    document = (await cast.stranger.client.get("/openapi.json")).json()
    paths = document["paths"]
    for path in (
        "/regions",
        "/sites",
        "/sites/{id}",
        "/status",
        "/sites/{id}/uptime",
        "/sites/{id}/latency",
        "/sites/{id}/measurements",
        "/sites/{id}/segments",
    ):
        assert f"/api/v1{path}" in paths
    assert set(paths["/api/v1/sites/{id}"]) == {"get", "patch", "delete"}
    for path, methods in paths.items():
        for method, operation in methods.items():
            if path.startswith("/api/v1"):
                assert "401" in operation["responses"], (path, method)
                if (path, method) != ("/api/v1/session", "post") and not path.startswith(OPEN):
                    assert operation["security"], (path, method)
    schemas = document["components"]["schemas"]
    models: tuple[type[BaseModel], ...] = (
        SiteIn,
        SitePatch,
        SiteOut,
        StatusOut,
        UptimeOut,
        SiteLatencyOut,
        SegmentsOut,
        MeasurementsOut,
    )
    for model in models:
        assert schemas[model.__name__]["examples"]
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)
    assert "HTTPValidationError" not in str(document)


async def test_the_docs_page_works_without_internet(cast: Cast) -> None:
    client = cast.stranger.client
    page = (await client.get("/docs")).text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    for source in sources:
        assert source.startswith("http://test/"), source
        assert (await client.get(source)).status_code == 200, source


async def test_an_unknown_address_and_a_wrong_method_are_problems(cast: Cast) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/sites", 405)):
        answer = await cast.sari.client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_stores_never_commit() -> None:
    for file in (ROOT / "app").rglob("*.py"):
        assert not re.search(r"(session|connection|sync)\.commit\(", file.read_text(encoding="utf-8")), file
