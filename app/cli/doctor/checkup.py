"""`sinyal doctor`: check this machine and the settings, one line a check, with the remedy for each problem.

No line shows a secret: of an unexpected error only its type is told.
"""

import asyncio
from collections.abc import Callable

from app.cli.doctor import alerts, archive, database, machine, network, packs, probers, push, replication
from app.cli.doctor.check_result import Check, CheckResult, CheckStatus, NotApplicable, describe_error, in_thread
from app.settings import Settings

TIMEOUT_S, ALL_PACKS_TIMEOUT_S = 10.0, 24 * 3600.0

Say = Callable[[str], None]


async def run(settings: Settings, *, say: Say, all_packs: bool = False) -> int:
    """Run all checks at once and say their results in order; return 1 if any failed, else 0."""
    failed = warned = 0
    tasks = [asyncio.create_task(run_check(check, settings)) for check in CHECKS]
    check, timeout_s = (packs.check_all_packs, ALL_PACKS_TIMEOUT_S) if all_packs else (packs.check_packs, TIMEOUT_S)
    tasks.append(asyncio.create_task(run_check(check, settings, timeout_s=timeout_s)))
    for task in tasks:
        result = await task
        if result is not None:
            say(str(result))
            failed += result.status is CheckStatus.FAIL
            warned += result.status is CheckStatus.WARN
    say(f"{failed} failed, {warned} warning{'' if warned == 1 else 's'}" if failed or warned else "all checks passed")
    return 1 if failed else 0


async def run_check(check: Check, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> CheckResult | None:
    """Return the result, None where the check is not applicable. Never raises, never hangs."""
    name = getattr(check, "__name__", "check").removeprefix("check_").replace("_", " ")
    try:
        async with asyncio.timeout(timeout_s):
            result = await in_thread(lambda: check(settings))
            return result if isinstance(result, CheckResult) else await result
    except NotApplicable:
        return None
    except TimeoutError:
        return CheckResult(CheckStatus.FAIL, f"{name}: no answer within {timeout_s:g} s")
    except Exception as error:
        return CheckResult(CheckStatus.FAIL, f"{name}: {describe_error(error)}")


CHECKS: tuple[Check, ...] = (
    network.check_icmp,
    network.check_receive_buffer,
    network.check_canaries,
    machine.check_clock,
    machine.check_data_folder,
    machine.check_disk,
    machine.check_open_files,
    network.check_port,
    network.check_proxy,
    database.check_database,
    database.check_schema,
    database.check_direct_connection,
    replication.check_writer,
    replication.check_pooler,
    replication.check_standbys,
    archive.check_archive,
    archive.check_base_backup,
    replication.check_read_url,
    database.check_worker,
    probers.check_probers,
    network.check_heartbeat,
    push.check_public_url,
    push.check_ingest,
    push.check_inbox,
    alerts.check_alert_texts,
    alerts.check_courier,
)
