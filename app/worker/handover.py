"""What a leader read and could not write before another one led: it waits in the inbox of probers for that one."""

import asyncio

import structlog

from app.postgres.engine import Sessions, is_unavailable, transaction
from app.worker.context import WorkerContext
from app.worker.shard_routing import ShardRouting

log = structlog.get_logger()

TRIES, PAUSE_S = 5, 1.0


async def hand_over(context: WorkerContext, sessions: Sessions, routing: ShardRouting) -> None:
    """Queue the buffer's readings, over sessions that need no lead: readings are facts, whoever leads.

    Timeouts of which it is not known whether we were blind are our fault. What the database does not take is lost.
    """
    buffer = context.buffer
    buffer.release(context.canaries)
    buffer.give_up_held()
    queued = 0
    try:
        while len(buffer):
            block = (part := buffer.take()).block
            for left in reversed(range(TRIES)):
                try:
                    async with transaction(sessions) as session:
                        await routing.queue(session, block, context.canaries.log)
                    break
                except Exception as error:
                    if not left or not is_unavailable(error):
                        buffer.give_back([part])
                        raise
                    await asyncio.sleep(PAUSE_S)
            queued += len(block)
    except Exception as error:
        log.error("readings_lost", readings=len(buffer), error=repr(error), exc_info=error)
    if queued:
        log.info("readings_handed_over", readings=queued)
