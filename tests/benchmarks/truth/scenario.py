"""The scenario of a truth run: what happens at which sites and when, what people do, and what a forger sends."""

from dataclasses import dataclass, field

from app.registry.regions import REGIONS_CSV
from simulator.host_plan import SimulatedHost
from simulator.script import AgentBehaviour, EventKind, ScriptEvent
from simulator.site_fields import registry_fields
from simulator.towers import towers
from simulator.villages import villages

INTERVAL_S, SEND_EVERY_S = 10, 30
LATE_S, BACKLOG_S = 40, 7_200
RTT_MS = {"fiber": 25.0, "radio": 30.0, "cellular": 60.0, "leo": 40.0, "geo": 600.0}
RADIO_EVERY = 8  # of the fibre sites are made radio sites before the run: the simulated villages have none


@dataclass(frozen=True, slots=True)
class Kill:
    at_s: float
    child: str
    held_s: float = 0.0  # its successors are killed too for so long


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """A change of a site over REST: suspend, resume, retire, or a new kind or village."""

    at_s: float
    what: str
    code: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedForgery:
    """Invented rows for a stretch in which the device is silent, pushed with its token from elsewhere."""

    at_s: float
    code: str
    from_s: float
    to_s: float
    by_clock: bool  # dated by the rows' clock, else by the uptime of an invented boot


@dataclass
class Scenario:
    seed: int
    sites: int
    nodes: int
    minutes: float
    events: list[ScriptEvent] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    actions: list[PlannedAction] = field(default_factory=list)
    forgeries: list[PlannedForgery] = field(default_factory=list)

    @property
    def ends_s(self) -> float:
        return self.minutes * 60

    @property
    def script(self) -> str:
        """Return the script for `sinyal demo --script`. Healthy links lose nothing: every loss is scripted."""
        head = f"""\
seed = {self.seed}
interval_s = {INTERVAL_S}
send_every_s = {SEND_EVERY_S}
sites = {self.sites}
nodes = {self.nodes}
registered_s = {BACKLOG_S + 3600}
[agents]
duplicate_pct = 20
late_pct = 10
late_s = {LATE_S}
backlog_pct = 20
backlog_s = {BACKLOG_S}
clock_wrong_pct = 20
stop_s = {self.ends_s:.0f}
log = true
"""
        links = "".join(
            f"[technology.{name}]\nrtt_ms = {rtt}\njitter_ms = 0\nloss_pct = 0\n" for name, rtt in RTT_MS.items()
        )
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
    probe = "icmp" if kind == "node" else registry_fields(fields, AgentBehaviour())["probe"]
    return SimulatedHost(
        fields["host"], fields["technology"], code, fields["village_code"], fields["provider"], kind, parent, probe
    )


def _toml(event: ScriptEvent) -> str:
    lines = ["[[event]]", f'kind = "{event.kind}"', f"start_s = {event.start_s}", f"duration_s = {event.duration_s}"]
    lines += [f"loss_pct = {event.loss_pct}"] if event.loss_pct is not None else []
    lines += [f"rtt_ms = {event.rtt_ms}"] if event.rtt_ms is not None else []
    if event.kind is not EventKind.BLIND:
        lines += [f"select = {{ sites = {list(event.select.sites or ())} }}"]
    return "\n".join(lines) + "\n"
