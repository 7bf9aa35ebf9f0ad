"""The job that freezes certificates whose 24 hours are over and settled, each in a transaction of its own."""

from datetime import datetime
from functools import partial

import structlog

from app.certificates import freezing, store
from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 60


def jobs(sessions: Sessions) -> list[Job]:
    return [Job("certificates", EVERY_S, partial(freeze_certificates, sessions), delayed=True, may_overrun=True)]


async def freeze_certificates(sessions: Sessions, now: datetime | None = None) -> None:
    """Freeze what can be; one that fails keeps no other from it."""
    async with transaction(sessions) as session:
        over = await store.list_over(session, now or utc_now(), limit=freezing.MOST_AT_ONCE)
    for certificate_id in over:
        try:
            async with transaction(sessions) as session:
                certificate = await store.lock_running(session, certificate_id)
                if certificate is not None:
                    await freezing.freeze_if_settled(session, certificate, now=now or utc_now())
        except NoLongerLeader:
            raise
        except Exception as error:
            log.error("certificate_failed", certificate=certificate_id, error=repr(error), exc_info=error)
