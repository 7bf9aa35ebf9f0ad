"""Settings: `SINYAL_*` environment over `config/sinyal.toml`; a wrong one stops the start with one clear line.

Every setting is described where people look for it: in `config/sinyal.toml`.
"""

import difflib
import os
import tomllib
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from probes.policy import DENIED_BY_DEFAULT, Policy

ROOT = Path(__file__).resolve().parent.parent
CONFIG_DIR = ROOT / "config"
PREFIX = "SINYAL_"


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what is allowed."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Words = Annotated[list[str], NoDecode]


class ProbeSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    allow: Words = []
    deny: Words = []
    packets_per_second: int = Field(20_000, ge=1, le=1_000_000)
    interval_s: int | None = Field(None, ge=5, le=3600)
    buffer_readings: int = Field(500_000, ge=1_000)

    @property
    def policy(self) -> Policy:
        return Policy(self.allow, [*DENIED_BY_DEFAULT, *self.deny])

    @field_validator("allow", "deny", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        words = _split(value)
        for word in words:
            ip_network(word)
        return words


class StatusSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_s: int = Field(10, ge=1, le=60)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

    data_dir: Path = Path("var")
    database_url: str | None = None
    database_direct_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    public_url: str | None = None
    trusted_proxies: Words = []
    root_path: str = ""
    cors_origins: Words = []
    heartbeat_url: str | None = None
    canaries: Words = []
    raw_retention_days: int = Field(35, ge=8)
    probe: ProbeSettings = ProbeSettings()
    status: StatusSettings = StatusSettings()

    @field_validator("trusted_proxies", "cors_origins", "canaries", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _driver(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, colon, rest = value.partition("://")
        if not colon or scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
            raise ValueError("must begin with postgresql:// (PostgreSQL is the only database)")
        return f"postgresql+asyncpg://{rest}"

    @field_validator("public_url", "heartbeat_url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def load() -> Settings:
    """Raises SettingsError with one line that names the setting."""
    env = dict(os.environ)
    path = Path(env.get("SINYAL_CONFIG") or CONFIG_DIR / "sinyal.toml")
    _refuse_unknown(env)
    beneath = _read_toml(path) | _read_secrets(env)
    if "STATE_DIRECTORY" in env and "data_dir" not in beneath:
        beneath["data_dir"] = env["STATE_DIRECTORY"]
    from_file = {key: value for key, value in beneath.items() if PREFIX + key.upper() not in env}
    for key in ("probe", "status"):
        overrides = {k for k in from_file.get(key, {}) if f"{PREFIX}{key.upper()}__{k.upper()}" in env}
        from_file[key] = {k: v for k, v in from_file.get(key, {}).items() if k not in overrides}
    try:
        return Settings(**from_file)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"settings file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from None


def _read_secrets(env: dict[str, str]) -> dict[str, Any]:
    """`SINYAL_X_FILE` names a file that holds the value of setting X."""
    found = {}
    for name, path in env.items():
        if name.startswith(PREFIX) and name.endswith("_FILE"):
            try:
                found[name[len(PREFIX) : -len("_FILE")].lower()] = Path(path).read_text().strip()
            except OSError as error:
                raise SettingsError(f"{name}: {error}") from None
    return found


def _refuse_unknown(env: dict[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"SINYAL_CONFIG"}
    for name in env:
        plain = name.removesuffix("_FILE").split("__")[0]
        if name.startswith(PREFIX) and plain not in known:
            close = difflib.get_close_matches(plain, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"unknown setting {name}{hint}")


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = PREFIX + "__".join(str(part).upper() for part in first["loc"] if not isinstance(part, int))
    given = "" if "secret" in name.lower() or "URL" in name else f" (given: {first['input']!r})"
    return f"setting {name}: {first['msg'].removeprefix('Value error, ')}{given}"


@cache
def settings() -> Settings:
    return load()
