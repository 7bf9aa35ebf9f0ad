"""One beat of the canaries: probed together, recorded, and logged when they fall silent or answer again."""

from collections.abc import Callable

import structlog

from app.probing.canaries import Canaries
from app.probing.sweeping import SweepBlock

log = structlog.get_logger()

EVERY_S = 2


async def beat(canaries: Canaries, sweep_block: SweepBlock, now: Callable[[], float], *, is_last: bool = False) -> None:
    """`is_last`: at an orderly end, where what is silent may be ending with us, and is no news."""
    was_blind, sent_at = canaries.blind_since is not None, now()
    if canaries.addresses:
        canaries.record((await sweep_block(canaries.targets)).readings(), sent_at)
    is_blind = canaries.blind_since is not None
    if is_last or is_blind == was_blind:
        return
    if is_blind:
        log.warning("canaries_silent", canaries=len(canaries.addresses), why="no site is judged down meanwhile")
    else:
        log.info("canaries_answering")
