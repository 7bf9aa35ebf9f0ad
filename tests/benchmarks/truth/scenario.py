"""The scenario of a truth run: which events happen at which sites and when, and which processes are killed."""

from dataclasses import dataclass, field

from app.registry.regions import REGIONS_CSV
from simulator.host_plan import SimulatedHost
from simulator.script import TECHNOLOGIES, EventKind, ScriptEvent
from simulator.towers import towers
from simulator.villages import villages

INTERVAL_S = 10


@dataclass(frozen=True, slots=True)
class Kill:
    at_s: float
    child: str
    held_s: float = 0.0  # its successors are killed too for so long


@dataclass(frozen=True, slots=True)
class Pause:
    """A site suspended over REST and reactivated."""

    at_s: float
    code: str
    for_s: float


@dataclass
class Scenario:
    seed: int
    sites: int
    nodes: int
    minutes: float
    events: list[ScriptEvent] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    @property
    def ends_s(self) -> float:
        return max(event.start_s + event.duration_s for event in self.events)

    @property
    def loss_pct(self) -> dict[str, float]:
        return {
            event.select.sites[0]: event.loss_pct or 0
            for event in self.events
            if event.kind is EventKind.LOSS and event.select.sites
        }

    @property
    def script(self) -> str:
        """Return the script for `sinyal demo --script`. Healthy links lose nothing: every loss is scripted."""
        head = f"seed = {self.seed}\ninterval_s = {INTERVAL_S}\nsites = {self.sites}\nnodes = {self.nodes}\n"
        links = "".join(f"[technology.{name}]\nloss_pct = 0\n" for name in TECHNOLOGIES)
        return head + links + "".join(map(_toml, sorted(self.events, key=lambda event: event.start_s)))


def hosts(sites: int, nodes: int) -> list[SimulatedHost]:
    """Return the hosts of a new demo: a tower is the second site of the village that houses it."""
    included = villages(REGIONS_CSV, sites)
    towers_and_sites: list[SimulatedHost] = []
    parents: dict[str, str] = {}
    for tower in towers(REGIONS_CSV, included, nodes):
        code = f"{tower.fields['village_code']}-02"
        parents |= dict.fromkeys(tower.children, code)
        towers_and_sites.append(_host(tower.fields, code, "node"))
    return towers_and_sites + [
        _host(village, f"{village['village_code']}-01", parent=parents.get(village["host"], "")) for village in included
    ]


def _host(fields: dict[str, str], code: str, kind: str = "access_point", parent: str = "") -> SimulatedHost:
    return SimulatedHost(
        fields["host"], fields["technology"], code, fields["village_code"], fields["provider"], kind, parent
    )


def _toml(event: ScriptEvent) -> str:
    lines = ["[[event]]", f'kind = "{event.kind}"', f"start_s = {event.start_s}", f"duration_s = {event.duration_s}"]
    lines += [f"loss_pct = {event.loss_pct}"] if event.loss_pct is not None else []
    lines += [f"rtt_ms = {event.rtt_ms}"] if event.rtt_ms is not None else []
    select = event.select
    words = {"kind": select.kind, "provider": select.provider, "region": select.region}
    parts = [f'{name} = "{value}"' for name, value in words.items() if value is not None]
    parts += [f"sites = {list(select.sites)}"] if select.sites is not None else []
    lines += [f"select = {{ {', '.join(parts)} }}"] if parts else []
    return "\n".join(lines) + "\n"
