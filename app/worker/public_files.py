"""The job that writes the public pages as plain files, where a folder for them is set."""

import structlog

from app.public.files import ForeignFolder, PublicFiles
from app.worker.context import WorkerContext
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 60


def jobs(context: WorkerContext) -> list[Job]:
    folder = context.settings.public.files_dir
    if folder is None:
        return []
    files = PublicFiles(folder, lambda: context.sessions, context.settings)

    async def write() -> None:
        try:
            await files.write()
        except (ConnectionError, TimeoutError):
            raise  # of the database: the next run does it
        except (ForeignFolder, OSError) as error:
            log.error("public_files_not_written", folder=str(folder), error=str(error))

    return [Job("public_files", EVERY_S, write, delayed=True, may_overrun=True)]
