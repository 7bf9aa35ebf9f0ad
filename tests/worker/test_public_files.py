"""The worker's job that writes the public pages as plain files."""

from pathlib import Path

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
