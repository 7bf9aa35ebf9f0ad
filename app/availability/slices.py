"""Intervals in which nothing changes, and what a contract counts each as. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.availability.contract_tally import COUNTED_DOWN, SHORT, UNKNOWN
from app.availability.policy import ContractPolicy
from app.registry.configuration import ConfigurationInForce
from app.registry.models import LinkRole


@dataclass(slots=True)
class CountableLength:
    """The seconds of a run that a contract may count: what its least duration is compared with.

    `proven_s` of these are proven by losses; `contested_s` would be, were they not claimed to have been good.
    """

    proven_s: int = 0
    contested_s: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """A downtime, or degraded time without a break: contracts count it as a whole, or leave it out as too short."""

    started_at: int
    ended_at: int
    outage_at: int  # when its outage began; its end, if it has none
    proven_until: int  # its last lost reading
    answered: bool  # False: its service ended first, or it lasts
    is_degraded: bool = False
    lengths: dict[LinkRole, CountableLength] = field(default_factory=dict)

    def length(self, link_role: LinkRole) -> CountableLength:
        return self.lengths.setdefault(link_role, CountableLength())


class ContractSlice(NamedTuple):
    """A slice under a contract: what it counts as, or the run on whose length that depends."""

    policy: ContractPolicy
    decided: str | None
    length: CountableLength | None = None  # unless decided

    @property
    def counted_as(self) -> str:
        """Return `good`, `counted_down`, `unknown`, `outside`, or the reason why it is excluded.

        Where claims alone make a downtime too short, nobody knows whether it counts.
        """
        if self.decided is not None:
            return self.decided
        assert self.length is not None
        if self.length.proven_s >= self.policy.min_outage_s:
            return COUNTED_DOWN
        is_contested = self.length.proven_s + self.length.contested_s >= self.policy.min_outage_s
        return UNKNOWN if is_contested else SHORT

    @property
    def may_grow(self) -> bool:
        """Whether it counts once its run is longer."""
        return self.decided is None and self.counted_as != COUNTED_DOWN


class Slice(NamedTuple):
    """An interval in which nothing changes."""

    part: int  # index of the part of the period
    length_s: int
    kind: str  # of KINDS
    configuration: ConfigurationInForce | None
    outage: tuple[int, int] | None  # the site's id, and when the outage began that it lies in
    cause: str | None
    run: Run | None = None
    claimed: bool = False  # its kind rests on a claim
    contracts: Sequence[ContractSlice] = ()  # the primary link's first
