import asyncio

import asyncpg
from sqlalchemy.engine import make_url

from app.worker.leader_lock import Leadership


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_a_second_worker_takes_over_within_five_seconds_of_the_firsts_end(server_url: str) -> None:
    first, second = Leadership(server_url), Leadership(server_url)
    assert await first.try_win()
    assert not await second.try_win()
    waiting = asyncio.create_task(second.win())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    first.drop()
    await asyncio.wait_for(waiting, 5)
    assert not await first.try_win()
    await second.leave()
    await first.leave()


async def test_a_cut_line_is_no_loss_of_the_lead_while_nobody_else_takes_it(server_url: str) -> None:
    leader = Leadership(server_url)
    assert await leader.try_win()
    losing = asyncio.create_task(leader.lose())
    administrator = await asyncpg.connect(plain(server_url))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sinyal worker lock'"
    await administrator.execute(cut)
    await asyncio.sleep(3)
    assert not losing.done()
    rival = Leadership(server_url)
    assert not await rival.try_win()
    losing.cancel()
    await rival.leave()
    await leader.leave()
    await administrator.close()


async def test_an_unreachable_database_is_neither_won_nor_an_error() -> None:
    nowhere = Leadership("postgresql+asyncpg://sinyal:x@127.0.0.1:9/none")
    assert not await nowhere.try_win()
