import asyncio

import pytest

from app.access.models import Role
from app.access.scope import Caller
from app.core.errors import TooManyRequests
from app.web.account_queues import AccountQueues

ANA = Caller(2, "ana", Role.DISTRICT_OPERATOR, "64.02", account_id=7)
SAME_ANA = Caller(3, "ana", Role.DISTRICT_OPERATOR, "64.02", account_id=7)  # by another token
BEN = Caller(4, "ben", Role.DISTRICT_OPERATOR, "64.03")


@pytest.mark.parametrize("at_once", [1, 2])
async def test_so_many_of_an_account_run_at_once_and_delay_no_other_account(at_once: int) -> None:
    queues = AccountQueues(at_once=at_once, queued=9, retry_after_s=1)
    running, most = dict[str, int](), dict[str, int]()

    async def hold(caller: Caller) -> None:
        async with queues.hold(caller):
            for key in (caller.name, "all"):
                running[key] = running.get(key, 0) + 1
                most[key] = max(most.get(key, 0), running[key])
            await asyncio.sleep(0.01)
            for key in (caller.name, "all"):
                running[key] -= 1

    await asyncio.gather(*(hold(caller) for caller in (ANA, SAME_ANA, BEN) * 2))
    assert most == {"ana": at_once, "ben": at_once, "all": 2 * at_once}


async def test_more_than_may_queue_are_refused_and_the_next_fits_again() -> None:
    queues, over = AccountQueues(at_once=2, queued=5, retry_after_s=1), asyncio.Event()

    async def hold() -> None:
        async with queues.hold(ANA):
            await over.wait()

    queued = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await hold()
    over.set()
    await asyncio.gather(*queued)
    await hold()
