"""Settings: `SINYAL_*` environment variables over `config/sinyal.toml`, which describes each of them."""

import difflib
import os
import reprlib
import tomllib
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.database_url import driver_url
from probes.own_addresses import OwnAddresses
from probes.policy import DENIED_BY_DEFAULT, AddressPolicy, Forbidden, is_hostname, parse_address

ROOT = Path(__file__).resolve().parent.parent
CONFIG_DIR = ROOT / "config"
PREFIX = "SINYAL_"


class SettingsError(Exception):
    """Invalid settings; the message is one line that names the setting."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _has_valid_port(url: str) -> bool:
    """urlsplit's own error would show what it took for the port: perhaps a part of the password."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


CommaSeparated = Annotated[list[str], NoDecode]


SHORTEST_KEY = 32  # characters


def _require_networks(words: list[str]) -> list[str]:
    for word in words:
        ip_network(word)
    return words


class ProbeSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    allow: CommaSeparated = []
    deny: CommaSeparated = []
    packets_per_second: int = Field(20_000, ge=1, le=1_000_000)
    interval_s: int | None = Field(None, ge=5, le=3600)
    send_every_s: int | None = Field(None, ge=5, le=3600)
    buffer_readings: int = Field(500_000, ge=1_000)

    @field_validator("allow", "deny", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("allow", "deny")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        return _require_networks(value)


class StatusSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_s: int = Field(10, ge=1, le=60)
    max_streams: int = Field(1000, ge=1, le=100_000)
    streams_per_caller: int = Field(100, ge=1, le=100_000)
    streams_per_address: int = Field(500, ge=1, le=100_000)


class SignInSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    idle_minutes: int = Field(60, ge=1, le=1440)
    longest_hours: int = Field(12, ge=1, le=168)


class AggregatesSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_s: int = Field(10, ge=0, le=60)


class LimitsSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    requests_per_s: int = Field(500, ge=0, le=100_000)
    burst: int = Field(1000, ge=1, le=1_000_000)
    query_s: int = Field(15, ge=1, le=600)
    connections: int = Field(4000, ge=10, le=60_000)
    connections_per_address: int = Field(2000, ge=1, le=60_000)


class PushSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    requests_per_min: int = Field(30, ge=0, le=100_000)
    burst: int = Field(60, ge=1, le=100_000)
    max_streams: int = Field(1500, ge=0, le=25_000)


class VisitorsSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    results_per_s: int = Field(20, ge=1, le=100_000)
    burst: int = Field(40_000, ge=100, le=10_000_000)
    speed_tests: int = Field(8, ge=0, le=1_000)


class PublicSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Literal["village", "district", "none"] = "village"
    hidden_regions: CommaSeparated = []
    hidden_technologies: CommaSeparated = []
    publisher: str = Field("Diskominfo Kalimantan Timur", min_length=1, max_length=100)
    licence: str = Field("CC BY 4.0", min_length=1, max_length=60)
    licence_url: str = "https://creativecommons.org/licenses/by/4.0/"
    contacts: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] = {}
    files_dir: Path | None = None

    @field_validator("hidden_regions", "hidden_technologies", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("hidden_technologies")
    @classmethod
    def _technologies(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - {"fiber", "radio", "cellular", "leo", "geo"}:
            raise ValueError(f"{sorted(unknown)[0]!r} is no technology: fiber, radio, cellular, leo, geo")
        return value

    @field_validator("hidden_regions")
    @classmethod
    def _codes(cls, value: list[str]) -> list[str]:
        for code in value:
            _require_region_code(code)
        return value

    @field_validator("contacts")
    @classmethod
    def _contacts(cls, value: dict[str, str]) -> dict[str, str]:
        for code in value:
            _require_region_code(code)
        return value

    @field_validator("licence_url")
    @classmethod
    def _web(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with http:// or https://")
        return value


class AlertsSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    allow: CommaSeparated = []
    deny: CommaSeparated = []
    group_wait_s: int = Field(30, ge=1, le=60)
    group_interval_s: int = Field(300, ge=1, le=3600)
    simulated: bool = False

    @field_validator("allow", "deny", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("allow", "deny")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        return _require_networks(value)


def _require_region_code(code: str) -> None:
    """A mistyped code would hide nothing."""
    rows = (CONFIG_DIR / "regions" / "kaltim_regions.csv").read_text(encoding="utf-8").splitlines()[1:]
    if code not in {row.partition(",")[0] for row in rows}:
        raise ValueError(f"there is no region {reprlib.repr(code)}; codes are Kemendagri's, such as 64.02")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

    data_dir: Path = Path("var")
    database_url: str | None = None
    database_direct_url: str | None = None
    database_read_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    public_url: str | None = None
    ingest_port: int | None = Field(None, ge=1, le=65535)
    ingest_url: str | None = None
    trusted_proxies: CommaSeparated = []
    root_path: str = ""
    cors_origins: CommaSeparated = []
    heartbeat_url: str | None = None
    secret_key: CommaSeparated = []
    canaries: CommaSeparated = []
    anchors: CommaSeparated = []
    drain_s: float = Field(0, ge=0, le=60)
    raw_retention_days: int = Field(35, ge=8)
    judging_shards: int = Field(1, ge=1, le=16)
    probe: ProbeSettings = ProbeSettings()
    status: StatusSettings = StatusSettings()
    sign_in: SignInSettings = SignInSettings()
    aggregates: AggregatesSettings = AggregatesSettings()
    limits: LimitsSettings = LimitsSettings()
    push: PushSettings = PushSettings()
    visitors: VisitorsSettings = VisitorsSettings()
    public: PublicSettings = PublicSettings()
    alerts: AlertsSettings = AlertsSettings()

    @property
    def is_pooled(self) -> bool:
        """Whether a transaction pooler may stand before the database, as another URL leads past it."""
        return self.database_direct_url not in {None, self.database_url}

    @property
    def probe_policy(self) -> AddressPolicy:
        """Where probes may go: not to denied networks, and not to this machine itself."""
        return self.policy(self.probe.allow, self.probe.deny)

    @property
    def receiver_policy(self) -> AddressPolicy:
        """Where alerts may be delivered."""
        return self.policy(self.alerts.allow, self.alerts.deny)

    def policy(self, allow: Iterable[str], deny: Iterable[str]) -> AddressPolicy:
        own = OwnAddresses(urlsplit(self.public_url or "").hostname)
        return AddressPolicy(allow, [*DENIED_BY_DEFAULT, *deny], own)

    @field_validator("trusted_proxies", "cors_origins", "canaries", "anchors", "secret_key", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("database_url", "database_direct_url", "database_read_url")
    @classmethod
    def _driver(cls, value: str | None) -> str | None:
        return None if value is None else driver_url(value)

    @field_validator("public_url", "ingest_url", "heartbeat_url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if value is not None and not (_has_valid_port(value) and urlsplit(value).hostname):
            raise ValueError("has no host, or no valid port")
        return value

    @field_validator("canaries", "anchors")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        for host in value:
            if parse_address(host) is None and not is_hostname(host):
                raise ValueError(f"{host!r} is neither an address nor a DNS name")
        return value

    @field_validator("secret_key")
    @classmethod
    def _long(cls, value: list[str]) -> list[str]:
        if any(len(key) < SHORTEST_KEY for key in value):
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters: `openssl rand -base64 32` makes one")
        return value

    @field_validator("root_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if value and (not value.startswith("/") or value.endswith("/")):
            raise ValueError("must begin with / and not end with one")
        return value

    @property
    def public_base(self) -> str | None:
        """`public_url` with the path of the reverse proxy, which it may leave out, and without a slash at its end."""
        if self.public_url is None:
            return None
        base = self.public_url.rstrip("/")
        return base if base.endswith(self.root_path) else base + self.root_path

    @property
    def port_of_ingest(self) -> int:
        """The port beside the api's own, unless another is set."""
        return self.ingest_port or (self.port + 1 if self.port < 65535 else self.port - 1)

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


GROUPS: dict[str, type[BaseModel]] = {
    "probe": ProbeSettings,
    "status": StatusSettings,
    "sign_in": SignInSettings,
    "aggregates": AggregatesSettings,
    "limits": LimitsSettings,
    "push": PushSettings,
    "public": PublicSettings,
    "alerts": AlertsSettings,
}
SINGLE = tuple(name for name in Settings.model_fields if name not in GROUPS)
VARIABLES = (
    "SINYAL_CONFIG",
    *(PREFIX + name.upper() for name in SINGLE),
    *(f"{PREFIX}{group}__{name}".upper() for group, model in GROUPS.items() for name in model.model_fields),
)


OF_PROBERS = tuple(
    f"SINYAL_PROBER_{name}" for name in ("SERVER", "TOKEN", "TOKEN_FILE", "DATA", "CANARIES", "SPOOL_MB")
)  # read by `sinyal prober` alone, which has no other settings


def load() -> Settings:
    """Raises SettingsError."""
    env = {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name not in OF_PROBERS}
    secrets = {PREFIX + name.upper() + "_FILE": name for name in SINGLE}
    for name in env:
        if name not in VARIABLES and name not in secrets:
            raise SettingsError(f"unknown setting {name}{_nearest(name, VARIABLES)}")
    defaults: dict[str, Any] = {"data_dir": os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "var"}
    defaults |= _read_toml(Path(env.get("SINYAL_CONFIG") or CONFIG_DIR / "sinyal.toml"))
    defaults |= {secrets[name]: _read_secret(name, path) for name, path in env.items() if name in secrets}
    try:
        loaded = Settings(**_unset(defaults, env))
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    _require_canaries_allowed(loaded)
    return loaded


def _require_canaries_allowed(settings: Settings) -> None:
    """A canary that may not be probed would leave the worker blind for good."""
    for host in settings.canaries:
        try:
            settings.probe_policy.check_host(host)
        except Forbidden as error:
            raise SettingsError(
                f"setting SINYAL_CANARIES: {error}; choose addresses beyond our own uplink, or allow the network "
                "with SINYAL_PROBE__ALLOW"
            ) from None


def _unset(values: dict[str, Any], env: dict[str, str], prefix: str = PREFIX) -> dict[str, Any]:
    """Drop what the environment sets: arguments of the constructor would take precedence over it."""
    kept = {name: value for name, value in values.items() if prefix + name.upper() not in env}
    groups = {name: _unset(kept[name], env, f"{prefix}{name.upper()}__") for name in GROUPS if name in kept}
    return kept | groups


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"settings file {path} does not exist") from None
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from None
    _require_known(values, Settings, path)
    for group, model in GROUPS.items():
        if not isinstance(table := values.get(group, {}), dict):
            raise SettingsError(f"settings file {path}: {group} is a table, written [{group}]")
        _require_known(table, model, path, f"{group}.")
    return values


def _require_known(values: dict[str, Any], model: type[BaseModel], path: Path, prefix: str = "") -> None:
    """Raises SettingsError, without the value: under a mistyped name it may be a secret."""
    for name in values:
        if name not in model.model_fields:
            near = _nearest(name, tuple(model.model_fields))
            raise SettingsError(f"settings file {path}: unknown setting {prefix}{name}{near}")


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path}: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{name}: {path}: not a text") from None


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """Suggest a known name; the common prefix is ignored, since it makes all names similar."""
    prefix = PREFIX if name.startswith(PREFIX) else ""
    bare = {word.removeprefix(prefix).lower(): word for word in known}
    close = difflib.get_close_matches(name.removeprefix(prefix).lower(), bare, 1)
    return f"; did you mean {bare[close[0]]}?" if close else ""


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = PREFIX + "__".join(str(part).upper() for part in first["loc"] if not isinstance(part, int))
    given = "" if "URL" in name or "KEY" in name else f" (given: {reprlib.repr(first['input'])})"
    return f"setting {name}: {first['msg'].removeprefix('Value error, ')}{given}"


@cache
def settings() -> Settings:
    return load()
