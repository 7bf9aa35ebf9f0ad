"""The worker's job that writes the public pages as plain files."""

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.public.editions import store
from app.public.publication import Publication
from app.settings import PublicSettings
from app.worker import public_files
from app.worker.process import Worker


def publish_to(worker: Worker, folder: Path) -> None:
    public = PublicSettings(files_dir=folder, level="district")
    worker.context.settings = worker.context.settings.model_copy(update={"public": public})


async def test_public_files_are_written_where_a_folder_is_set(worker: Worker, tmp_path: Path) -> None:
    assert public_files.jobs(worker.context) == []
    publish_to(worker, tmp_path / "public")
    (job,) = [job for job in worker.jobs() if job.name == "public_files"]
    await job.run()
    assert (tmp_path / "public" / "kabupaten" / "64.02.html").exists()


async def test_a_folder_that_cannot_be_written_is_logged_and_stops_nothing(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    publish_to(worker, tmp_path / "file" / "public")
    (job,) = public_files.jobs(worker.context)
    await job.run()


async def test_open_data_of_closed_months_is_published(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    async def publish(session: AsyncSession, publication: Publication, *, url: str | None, now: datetime) -> None:
        asked.append(url)

    monkeypatch.setattr(store, "publish_next", publish)
    (job,) = [job for job in worker.jobs() if job.name == "open_data"]
    await job.run()
    assert asked == [worker.context.settings.public_base]
