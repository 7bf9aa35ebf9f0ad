"""What is normal for a technology, from `config/profiles.toml`: a site is judged against its own kind only."""

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.settings import CONFIG_DIR, SettingsError, settings


class Technology(StrEnum):
    FIBER = "fiber"
    RADIO = "radio"
    CELLULAR = "cellular"
    LEO = "leo"
    GEO = "geo"


class Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    interval_s: int = Field(ge=5, le=3600)
    timeout_ms: int = Field(ge=100, le=3000)
    loss_pct: float = Field(gt=0, le=100)
    rtt_ms: int = Field(ge=1, le=60_000)


def load_profiles(path: Path, *, interval_s: int | None = None) -> dict[Technology, Profile]:
    """Raises SettingsError when a technology is missing or a value is out of its range."""
    try:
        found = TypeAdapter(dict[Technology, Profile]).validate_python(tomllib.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if missing := set(Technology) - set(found):
        raise SettingsError(f"{path}: no profile for {', '.join(sorted(missing))}")
    if interval_s is None:
        return found
    return {name: profile.model_copy(update={"interval_s": interval_s}) for name, profile in found.items()}


@cache
def profiles() -> dict[Technology, Profile]:
    return load_profiles(CONFIG_DIR / "profiles.toml", interval_s=settings().probe.interval_s)
