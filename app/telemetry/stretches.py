"""Joins what a device said, answer by answer, into stretches of the same. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from probes.telemetry import MAX_ALERTS, LinkState, Telemetry

SAME_BOOT_S = 120  # by which two answers may differ on when the device started


@dataclass(frozen=True, slots=True)
class SaidStretch:
    """`changed`: whether it is to be written."""

    started_at: datetime
    seen_at: datetime
    state: LinkState
    cause: str | None
    samples: int
    widest_gap_s: int
    booted_at: datetime | None
    alerts: tuple[str, ...]
    figures: dict[str, Any]
    heard_at: datetime
    changed: bool = False


def join(
    last: SaidStretch | None, samples: Sequence[Telemetry], *, bridge_s: int, heard_at: datetime
) -> tuple[list[SaidStretch], int]:
    """Return the stretches that change or begin, and how many answers were of a time that is known already.

    An answer continues the last stretch if it says the same of the same start of the device, at most `bridge_s` later.
    """
    stretches = [] if last is None else [last]
    late = 0
    for sample in sorted(samples, key=lambda each: each.at):
        before = stretches[-1] if stretches else None
        if before is not None and sample.at <= before.seen_at:
            late += 1
        elif before is not None and _continues(before, sample, bridge_s):
            stretches[-1] = _extended(before, sample)
        else:
            stretches.append(_begun(sample, heard_at))
    return [stretch for stretch in stretches if stretch.changed], late


def _continues(before: SaidStretch, sample: Telemetry, bridge_s: int) -> bool:
    return (
        (sample.state, sample.cause) == (before.state, before.cause)
        and sample.at - before.seen_at <= timedelta(seconds=bridge_s)
        and not _has_restarted(before.booted_at, booted_at(sample))
    )


def _has_restarted(before: datetime | None, now: datetime | None) -> bool:
    return before is not None and now is not None and now - before > timedelta(seconds=SAME_BOOT_S)


def booted_at(sample: Telemetry) -> datetime | None:
    return None if sample.uptime_s is None else sample.at - timedelta(seconds=sample.uptime_s)


def _extended(before: SaidStretch, sample: Telemetry) -> SaidStretch:
    gap_s = round((sample.at - before.seen_at).total_seconds())
    return replace(
        before,
        seen_at=sample.at,
        samples=before.samples + 1,
        widest_gap_s=max(before.widest_gap_s, gap_s),
        booted_at=before.booted_at or booted_at(sample),
        alerts=tuple(dict.fromkeys((*before.alerts, *sample.alerts)))[:MAX_ALERTS],
        figures=sample.figures(),
        changed=True,
    )


def _begun(sample: Telemetry, heard_at: datetime) -> SaidStretch:
    return SaidStretch(
        sample.at,
        sample.at,
        sample.state,
        sample.cause,
        1,
        0,
        booted_at(sample),
        sample.alerts[:MAX_ALERTS],
        sample.figures(),
        heard_at,
        changed=True,
    )
