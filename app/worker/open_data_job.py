"""The job that publishes the open data of months that are closed, and compares published ones again once a week."""

import structlog

from app.core.clock import utc_now
from app.postgres.engine import transaction
from app.public.editions import store
from app.public.publication import Publication
from app.worker.context import WorkerContext
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 600  # one month each time: a database with years behind it is through within hours


def jobs(context: WorkerContext) -> list[Job]:
    publication = Publication.from_settings(context.settings.public)

    async def publish() -> None:
        async with transaction(context.sessions) as session:
            edition = await store.publish_next(session, publication, url=context.settings.public_base, now=utc_now())
        if edition is not None:
            log.info("open_data_published", month=edition.period, version=edition.version, sha256=edition.sha256)

    return [Job("open_data", EVERY_S, publish, delayed=True, may_overrun=True)]
