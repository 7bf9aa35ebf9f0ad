"""The job that makes partitions ahead and drops what is beyond its retention."""

from datetime import timedelta
from functools import partial

import structlog

from app.access import idempotency_store, login_throttle, sessions, stream_tickets
from app.core.clock import today, utc_now
from app.diagnoses import store as diagnoses
from app.importing import kept_uploads
from app.judging import checkpoints
from app.judging.rejudge import rejudgeable_since
from app.measurements import near_looks, partitions
from app.postgres.engine import Counter, bump, transaction
from app.push import receipts, source_addresses
from app.reviews import survey
from app.streams import store as streams
from app.telemetry import recording as telemetry
from app.vantages import receipts as prober_receipts
from app.visitors import figures, transfers, visit_token
from app.worker.context import WorkerContext
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 3600


def jobs(context: WorkerContext) -> list[Job]:
    return [Job("housekeeping", EVERY_S, partial(clean_up, context), delayed=True)]


async def clean_up(context: WorkerContext) -> None:
    """Drop at most one partition a run, so that a wrong clock destroys little."""
    async with transaction(context.sessions) as session:  # by itself: without a partition no reading can be written
        await partitions.create_ahead(session, utc_now())
    async with transaction(context.sessions) as session:
        dropped = await partitions.drop_oldest(session, utc_now(), keep_days=context.settings.raw_retention_days)
        if dropped:
            await bump(session, Counter.ROLLUP)  # parts of hours in there are read from whole hours from now on
        for expiring in (idempotency_store, login_throttle, sessions, stream_tickets):
            await expiring.delete_old(session)
        await diagnoses.delete_old(session)
        await kept_uploads.delete_old(session)
        await receipts.delete_expired(session)
        await prober_receipts.delete_expired(session)
        oldest = utc_now() - timedelta(days=context.settings.raw_retention_days)
        for kept in (near_looks, source_addresses, streams, telemetry, transfers):
            await kept.delete_old(session, oldest)
        await survey.forget(session, before=today())
        await figures.delete_old(session, utc_now(), retention_days=context.settings.raw_retention_days)
        await visit_token.delete_old_keys(session, utc_now())
        await checkpoints.delete_older(session, await rejudgeable_since(session))
    if dropped:
        log.info("partition_dropped", name=dropped)
