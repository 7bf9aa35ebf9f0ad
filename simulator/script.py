"""The TOML script of the simulated network: which events happen, and when; read strictly."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from simulator.toml_table import TomlTable

TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")
KINDS = ("access_point", "node")
MAX_RTT_MS = 60_000.0
TOWERS = 8  # of the default script

_REGION = re.compile(r"\d\d(\.\d\d(\.\d\d(\.\d{4})?)?)?")


class EventKind(StrEnum):
    OUTAGE = "outage"
    LOSS = "loss"
    SLOW = "slow"
    BLIND = "blind"  # no answer from anywhere, canaries included: our own uplink fails
    POWER = "power"  # no electricity at the site: an agent loses its memory


class ScriptError(ValueError):
    """All problems of a script, a line each: where, the value, what is allowed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class LinkBehaviour:
    """A script's changes to the links of a technology; None leaves the default."""

    rtt_ms: float | None = None
    jitter_ms: float | None = None
    loss_pct: float | None = None


@dataclass(frozen=True, slots=True)
class SiteSelector:
    """Which sites an event selects: those that match all fields that are not None, or a `fraction` of these."""

    technology: str | None = None
    region: str | None = None
    provider: str | None = None
    sites: tuple[str, ...] | None = None
    fraction: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class ScriptEvent:
    kind: EventKind
    start_s: float  # after the simulator's start
    duration_s: float
    select: SiteSelector = SiteSelector()
    loss_pct: float | None = None
    rtt_ms: float | None = None


@dataclass(frozen=True, slots=True)
class AgentBehaviour:
    """How the agents at sites behind carrier NAT (or at all sites) behave, and what goes wrong with their pushes."""

    all: bool = False  # every village, not only those on satellite and cellular links
    duplicate_pct: float = 0.0  # of the pushes are sent again although they arrived
    late_pct: float = 0.0  # of the batches: all but the newest reading are sent `late_s` later
    late_s: float = 600.0
    clock_wrong_pct: float = 0.0  # of the agents have a wrong clock
    backlog_pct: float = 0.0  # of the agents start with readings of an earlier boot
    backlog_s: float = 7200.0  # how old those are
    backlog_rows: int = 20
    stop_s: float | None = None  # from then on nothing is measured, and what is left is sent
    log: bool = False  # log every reading and push to agents.jsonl


@dataclass(frozen=True, slots=True)
class Script:
    seed: int = 1
    interval_s: int | None = None
    send_every_s: int | None = None  # on metered links
    registered_s: int = 0  # the sites of a new demo have been registered for so long
    sites: int | None = None
    nodes: int = 0
    technologies: Mapping[str, LinkBehaviour] = field(default_factory=lambda: MappingProxyType({}))
    events: tuple[ScriptEvent, ...] = ()
    lively: bool = False  # random events without end instead of `events`
    agents: AgentBehaviour | None = None  # None: every site is pinged


def load(path: Path | None) -> Script:
    """Read the script, without a path the default one of random events. Raises ScriptError."""
    if path is None:
        return Script(lively=True, nodes=TOWERS, agents=AgentBehaviour())
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise ScriptError([f"the script {path} cannot be read: {problem}"]) from problem


def parse(text: str) -> Script:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ScriptError([f"not TOML: {problem}"]) from problem
    problems: list[str] = []
    script = _script(TomlTable(content, "script", problems))
    if problems:
        raise ScriptError(problems)
    return script


def _script(table: TomlTable) -> Script:
    script = Script(
        seed=table.whole("seed", "a whole number from 0", 0, default=1),
        interval_s=table.whole("interval_s", "whole seconds from 1", 1),
        send_every_s=table.whole("send_every_s", "whole seconds from 1", 1),
        registered_s=table.whole("registered_s", "whole seconds from 0", 0, default=0),
        sites=table.whole("sites", "a whole number of villages from 1", 1),
        nodes=table.whole("nodes", "a whole number of towers from 0", 0, default=0),
        technologies=_technologies(table),
        events=_events(table),
        lively=table.take("lively", "true or false", _is_truth) or False,
        agents=_agents(table),
    )
    if script.lively and script.events:
        table.report("lively = true draws its own events; allowed: it, or [[event]] tables")
    table.finish()
    return script


def _agents(table: TomlTable) -> AgentBehaviour | None:
    """Read `agents`: a boolean, or a table, which means true."""
    value = table.take("agents", "true, false or a table", lambda value: _is_truth(value) or isinstance(value, dict))
    if not isinstance(value, dict):
        return AgentBehaviour() if value else None
    keys, defaults = TomlTable(value, "agents", table.problems), AgentBehaviour()

    def share(key: str) -> float:
        return keys.number(key, "0 to 100 (%)", lambda value: 0 <= value <= 100) or 0.0

    def seconds(key: str) -> Any:
        return keys.number(key, "seconds above 0", lambda value: value > 0)

    agents = AgentBehaviour(
        all=keys.take("all", "true or false", _is_truth) or False,
        duplicate_pct=share("duplicate_pct"),
        late_pct=share("late_pct"),
        late_s=seconds("late_s") or defaults.late_s,
        clock_wrong_pct=share("clock_wrong_pct"),
        backlog_pct=share("backlog_pct"),
        backlog_s=seconds("backlog_s") or defaults.backlog_s,
        backlog_rows=keys.whole("backlog_rows", "a whole number from 1", 1, default=defaults.backlog_rows),
        stop_s=seconds("stop_s"),
        log=keys.take("log", "true or false", _is_truth) or False,
    )
    keys.finish()
    return agents


def _technologies(table: TomlTable) -> Mapping[str, LinkBehaviour]:
    technologies = table.table("technology", "technology")
    if technologies is None:
        return MappingProxyType({})
    behaviours = {}
    for name in TECHNOLOGIES:
        if (link := technologies.table(name, f"technology.{name}")) is not None:
            behaviours[name] = _behaviour(link)
    technologies.finish()
    return MappingProxyType(behaviours)


def _behaviour(table: TomlTable) -> LinkBehaviour:
    behaviour = LinkBehaviour(
        rtt_ms=table.number("rtt_ms", f"0 to {MAX_RTT_MS:g} (ms)", _is_delay),
        jitter_ms=table.number("jitter_ms", f"0 to {MAX_RTT_MS:g} (ms)", _is_delay),
        loss_pct=table.number("loss_pct", "0 to 100 (%)", lambda value: 0 <= value <= 100),
    )
    table.finish()
    return behaviour


def _events(table: TomlTable) -> tuple[ScriptEvent, ...]:
    tables = table.take("event", "[[event]] tables", _is_tables) or []
    events = [_event(TomlTable(content, f"event {number}", table.problems)) for number, content in enumerate(tables, 1)]
    return tuple(event for event in events if event is not None)


def _event(table: TomlTable) -> ScriptEvent | None:
    """Read an event; None when a required key is missing or wrong, which is added to the problems."""
    kind = table.one_of("kind", [kind.value for kind in EventKind], required=True)
    start_s = table.number("start_s", "seconds from 0", lambda value: value >= 0, required=True)
    duration_s = table.number("duration_s", "seconds above 0", lambda value: value > 0, required=True)
    for key, owner in (("loss_pct", EventKind.LOSS), ("rtt_ms", EventKind.SLOW)):
        if kind is not None and kind != owner:
            table.refuse(key, f"it belongs to kind {owner.value!r}")
    if kind == EventKind.BLIND:
        table.refuse("select", "a blind event silences everything")
    select = table.table("select", f"{table.where}, select")
    loss_pct = table.number(
        "loss_pct", "above 0 to 100 (%)", lambda value: 0 < value <= 100, required=kind == EventKind.LOSS
    )
    rtt_ms = table.number("rtt_ms", f"0 to {MAX_RTT_MS:g} (ms)", _is_delay, required=kind == EventKind.SLOW)
    selected = SiteSelector() if select is None else _select(select)
    table.finish()
    if None in (kind, start_s, duration_s):
        return None
    return ScriptEvent(EventKind(kind), float(start_s), float(duration_s), selected, loss_pct, rtt_ms)


def _select(table: TomlTable) -> SiteSelector:
    select = SiteSelector(
        technology=table.one_of("technology", TECHNOLOGIES),
        region=table.take("region", "a code by dotted parts, like 64, 64.02 or 64.02.05.2003", _is_region),
        provider=table.take("provider", "a provider's slug, like 'iconplus'", _is_text),
        sites=_tuple(table.take("sites", "a list of site codes, like ['64.02.05.2003-01']", _is_texts)),
        fraction=table.number("fraction", "above 0 to 1", lambda value: 0 < value <= 1),
        kind=table.one_of("kind", KINDS),
    )
    table.finish()
    return select


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _is_delay(value: float) -> bool:
    return 0 <= value <= MAX_RTT_MS


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(item) for item in value)


def _is_region(value: object) -> bool:
    return isinstance(value, str) and _REGION.fullmatch(value) is not None


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
