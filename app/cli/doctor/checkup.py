"""`sinyal doctor`: what this machine and its settings allow, a line a check, with how to mend what is wrong.

No line shows a secret: of an unexpected error only its kind is told.
"""

import asyncio
from collections.abc import Callable

from app.cli.doctor import database, machine, network, push
from app.cli.doctor.finding import Away, Check, Finding, Level, in_thread, why
from app.settings import Settings

LIMIT_S = 10.0

Say = Callable[[str], None]


async def run(settings: Settings, *, say: Say) -> int:
    """1 if anything is broken; warnings alone are 0."""
    broken = warned = 0
    for looking in [asyncio.create_task(look(check, settings)) for check in CHECKS]:
        finding = await looking
        if finding is not None:
            say(str(finding))
            broken += finding.level is Level.FAIL
            warned += finding.level is Level.WARN
    say(f"{broken} broken, {warned} to look at" if broken or warned else "all is well")
    return 1 if broken else 0


async def look(check: Check, settings: Settings, *, limit_s: float = LIMIT_S) -> Finding | None:
    """Never raises, never hangs. None: it asks a database that does not run."""
    name = getattr(check, "__name__", "check").removeprefix("check_").replace("_", " ")
    try:
        async with asyncio.timeout(limit_s):
            found = await in_thread(lambda: check(settings))
            return found if isinstance(found, Finding) else await found
    except Away:
        return None
    except TimeoutError:
        return Finding(Level.FAIL, f"{name}: no answer within {limit_s:g} s")
    except Exception as error:
        return Finding(Level.FAIL, f"{name}: {why(error)}")


CHECKS: tuple[Check, ...] = (
    network.check_icmp,
    network.check_receive_buffer,
    network.check_canaries,
    machine.check_clock,
    machine.check_data_folder,
    machine.check_disk,
    machine.check_open_files,
    network.check_port,
    database.check_database,
    database.check_schema,
    database.check_direct_line,
    database.check_worker,
    network.check_heartbeat,
    push.check_public_url,
    push.check_ingest,
    push.check_inbox,
)
