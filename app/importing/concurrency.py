"""What takes long with a file is done beside the event loop, two files at a time: no dashboard waits for that."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import ParamSpec, TypeVar

AT_ONCE = 2  # each is one thread's work for seconds, and more of them at once are no sooner done

T = TypeVar("T")
P = ParamSpec("P")


async def aside(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(work, *arguments, **named))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="import")
