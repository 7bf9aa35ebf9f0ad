"""Profiles of the technologies, from `config/profiles.toml`: intervals, thresholds and speed test budgets."""

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from app.core.stream_cost import MAX_MONTHLY_BYTES, monthly_bytes
from app.settings import CONFIG_DIR, SettingsError, settings

# Bounds that queries rely on: how far from a moment there may be a reading that bears on it.
LONGEST_INTERVAL_S = 3600
LONGEST_PACKET_TIMEOUT_S = 3


class Technology(StrEnum):
    """`fiber`, `radio`, `cellular`, `leo`: low-orbit satellite, `geo`: geostationary satellite (VSAT)."""

    FIBER = "fiber"
    RADIO = "radio"
    CELLULAR = "cellular"
    LEO = "leo"
    GEO = "geo"


class Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    interval_s: int = Field(ge=5, le=LONGEST_INTERVAL_S)
    timeout_ms: int = Field(ge=100, le=1000 * LONGEST_PACKET_TIMEOUT_S)
    loss_pct: float = Field(gt=0, le=100)
    rtt_ms: int = Field(ge=1, le=60_000)
    lost_from: int = Field(0, ge=0, le=9)
    beat_s: int = Field(60, ge=5, le=LONGEST_INTERVAL_S)
    send_every_s: int = Field(60, ge=5, le=LONGEST_INTERVAL_S)
    terminal: str = Field("", pattern=r"^(\d{1,3}(\.\d{1,3}){3})?$")
    stream_beat_s: int = Field(0, ge=0, le=300)
    speed_monthly_mb: int = Field(0, ge=0, le=10_000_000)
    speed_max_mb: int = Field(10, ge=1, le=10_000)
    speed_max_s: int = Field(10, ge=1, le=60)
    speed_hours: tuple[int, int] = (0, 24)
    speed_spacing_h: float = Field(24, ge=0.1, le=744)
    visit_max_mb: int = Field(0, ge=0, le=1_000)
    visit_share_pct: int = Field(10, ge=0, le=100)

    def recorded(self) -> dict[str, Any]:
        """Return it as it is stored: without what a service of before does not know, as long as nobody sets it."""
        return self.model_dump(exclude=set() if self.lost_from else {"lost_from"})

    @field_validator("speed_hours")
    @classmethod
    def _hours(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not (0 <= value[0] < 24 and 0 < value[1] <= 24 and value[0] != value[1]):
            raise ValueError("must be two hours of the day (WITA), like [6, 22], or [22, 6] across midnight")
        return value

    @model_validator(mode="after")
    def _affordable(self) -> Self:
        if (cost := monthly_bytes(self.stream_beat_s, self.beat_s)) > MAX_MONTHLY_BYTES:
            raise ValueError(
                f"stream_beat_s: a stream with a beat each {self.stream_beat_s} s costs {cost / 1_000_000:.1f} MB a "
                f"month, {MAX_MONTHLY_BYTES // 1_000_000} MB are allowed: choose a longer one, or 0 for none"
            )
        return self


def load_profiles(
    path: Path, *, interval_s: int | None = None, send_every_s: int | None = None
) -> dict[Technology, Profile]:
    """Raises SettingsError when a technology is missing or a value is out of its range."""
    try:
        loaded = TypeAdapter(dict[Technology, Profile]).validate_python(tomllib.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if missing := set(Technology) - set(loaded):
        raise SettingsError(f"{path}: no profile for {', '.join(sorted(missing))}")
    return {name: _overridden(profile, interval_s, send_every_s) for name, profile in loaded.items()}


def _overridden(profile: Profile, interval_s: int | None, send_every_s: int | None) -> Profile:
    update = {} if interval_s is None else dict.fromkeys(("interval_s", "beat_s", "send_every_s"), interval_s)
    if send_every_s is not None and profile.send_every_s > profile.beat_s:  # a metered link
        update["send_every_s"] = send_every_s
    return profile.model_copy(update=update)


@cache
def profiles() -> dict[Technology, Profile]:
    probe = settings().probe
    return load_profiles(CONFIG_DIR / "profiles.toml", interval_s=probe.interval_s, send_every_s=probe.send_every_s)
