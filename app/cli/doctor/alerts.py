"""Check that alerts are worded and delivered: texts, the secret key, the courier's heartbeat, channels that fail."""

import asyncpg

from app.alerts.templates import templates
from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable, in_thread
from app.cli.doctor.database import open_database
from app.core.clock import utc_now
from app.core.sealing import Sealer, read_keys
from app.judging.blind_ranges import BEAT_TOLERANCE
from app.settings import Settings


def check_alert_texts(_: Settings) -> CheckResult:
    """Raises SettingsError, which names the mistake: the courier does not start with it."""
    situations = len(next(iter(templates().values())).messages)
    return CheckResult(CheckStatus.OK, f"alert texts: {situations} situations in {' and '.join(sorted(templates()))}")


async def check_courier(settings: Settings) -> CheckResult:
    async with open_database(settings) as connection:
        try:
            beat_at = await connection.fetchval("SELECT beat_at FROM courier_beat")
            channels = await connection.fetch("SELECT target, failures FROM channel WHERE deleted_at IS NULL")
        except asyncpg.UndefinedTableError:
            raise NotApplicable from None
    if not channels:
        return CheckResult(CheckStatus.OK, "alerts: no channels yet")
    sealer = Sealer(keys) if (keys := await in_thread(lambda: read_keys(settings))) else None
    if sealer is None or not all(sealer.opens(row["target"]) for row in channels):
        text = "alerts: the secret key is missing, or not the one that sealed the channels"
        return CheckResult(CheckStatus.FAIL, text, "Put SINYAL_SECRET_KEY (or the data folder's secret_key) back")
    if beat_at is None or abs(utc_now() - beat_at) > BEAT_TOLERANCE:
        return CheckResult(CheckStatus.FAIL, "alerts: no courier runs", "Start `sinyal up` (or `sinyal courier`)")
    if failing := sum(row["failures"] > 0 for row in channels):
        text = f"alerts: {failing} of {len(channels)} channels fail"
        return CheckResult(CheckStatus.WARN, text, "GET /api/v1/channels says why")
    if settings.public_url is None:
        text = "alerts: messages carry no link, to be read or acknowledged by"
        return CheckResult(CheckStatus.WARN, text, "Set SINYAL_PUBLIC_URL to the address of the console's host")
    return CheckResult(CheckStatus.OK, f"alerts: {len(channels)} channels, the courier runs")
