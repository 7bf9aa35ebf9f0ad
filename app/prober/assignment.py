"""What the server gives this prober to look at: checked, site by site, and turned into plans. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.core.clock import from_micros
from app.probing.probe_plan import ProbePlan
from probes.contract import ProbeKind, Target

MOST_SITES = 200_000
MOST_CANARIES = 20


class SiteToProbe(BaseModel):
    """Members that are not known here are passed over: the server may be newer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: int = Field(ge=1, le=2**31 - 1)
    kind: Literal[ProbeKind.ICMP, ProbeKind.TCP, ProbeKind.HTTP]
    host: str = Field(min_length=1, max_length=253)
    port: int | None = Field(None, ge=1, le=65535)
    url: str | None = Field(None, max_length=2000)
    packets: int = Field(3, ge=1, le=20)
    spacing_ms: int = Field(1000, ge=0, le=10_000)
    timeout_ms: int = Field(2000, ge=100, le=30_000)
    interval_s: int = Field(ge=5, le=3600)
    valid_s: int = Field(ge=1, le=32_767)
    addressed_at: int = Field(ge=0, le=2**53)  # microseconds since 1970
    parent_id: int | None = None

    @property
    def plan(self) -> ProbePlan:
        target = Target(
            self.id,
            0,
            self.kind,
            self.host,
            self.port,
            self.url,
            self.packets,
            self.spacing_ms / 1000,
            self.timeout_ms / 1000,
            self.valid_s,
        )
        return ProbePlan(target, self.interval_s, from_micros(self.addressed_at))


class PolicyToProbe(BaseModel):
    """Networks: see `AddressPolicy`."""

    allow: list[str] = []
    deny: list[str] = []

    @field_validator("allow", "deny")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)
        return networks


class ProbeRules(BaseModel):
    """All of an assignment but its sites: kept for a start without the server."""

    model_config = ConfigDict(extra="ignore")

    version: int
    vantage: int | None = None  # the number of this prober's own
    database: str | None = None  # of the server: identifier and timeline
    canaries: list[str] = Field([], max_length=MOST_CANARIES)
    policy: PolicyToProbe = PolicyToProbe()
    packets_per_second: int = Field(20_000, ge=1, le=1_000_000)


@dataclass(frozen=True, slots=True)
class AssignmentUpdate:
    """`refused`: of entries that no site can be made of, why."""

    rules: ProbeRules
    full: bool
    sites: Sequence[SiteToProbe]
    removed: Sequence[int]
    refused: Sequence[str]


def read_update(document: Any) -> AssignmentUpdate:
    """Raises ValueError: it is none."""
    if not isinstance(document, dict):
        raise ValueError("an assignment is an object")
    rules = ProbeRules.model_validate(document)
    sites, removed = document.get("sites"), document.get("removed", [])
    if not isinstance(sites, list) or len(sites) > MOST_SITES:
        raise ValueError(f"sites: a list of at most {MOST_SITES}")
    if not isinstance(removed, list) or not all(isinstance(key, int) for key in removed):
        raise ValueError("removed: a list of ids")
    read, refused = read_sites(sites)
    return AssignmentUpdate(rules, bool(document.get("full", True)), read, removed, refused)


def read_sites(entries: Sequence[Any]) -> tuple[list[SiteToProbe], list[str]]:
    """Return the sites, and why others are none: one bad entry keeps no other from being looked at."""
    sites, refused = list[SiteToProbe](), list[str]()
    for row, entry in enumerate(entries):
        try:
            sites.append(SiteToProbe.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            refused.append(f"sites[{row}].{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return sites, refused


def stored_sites(bodies: Sequence[bytes]) -> list[SiteToProbe]:
    return read_sites([orjson.loads(body) for body in bodies])[0]
