"""Check what the courier needs before it starts."""

from app.alerts.templates import templates
from app.cli.doctor.check_result import CheckResult, CheckStatus
from app.settings import Settings


def check_alert_texts(_: Settings) -> CheckResult:
    """Raises SettingsError, which names the mistake: the courier does not start with it."""
    situations = len(next(iter(templates().values())).messages)
    return CheckResult(CheckStatus.OK, f"alert texts: {situations} situations in {' and '.join(sorted(templates()))}")
