"""What the simulated network does, and when: the TOML script, read strictly."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from simulator.toml_table import Table

TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")
KINDS = ("access_point", "node")
SLOWEST_MS = 60_000.0

_REGION = re.compile(r"\d\d(\.\d\d(\.\d\d(\.\d{4})?)?)?")


class EventKind(StrEnum):
    OUTAGE = "outage"
    LOSS = "loss"
    SLOW = "slow"
    BLIND = "blind"  # everything silent, canaries too: our own fault
    POWER = "power"  # no electricity at the site: an agent forgets all it kept, and what it counted


class ScriptError(ValueError):
    """Every problem of a script, a line each: where, what was found, what is allowed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a script says of a technology; None leaves the technology's own default."""

    rtt_ms: float | None = None
    jitter_ms: float | None = None
    loss_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """Which sites an event is about; None does not narrow, `fraction` picks among those that match."""

    technology: str | None = None
    region: str | None = None
    provider: str | None = None
    sites: tuple[str, ...] | None = None
    fraction: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    kind: EventKind
    start_s: float  # after the simulator's start
    duration_s: float
    select: Select = Select()
    loss_pct: float | None = None
    rtt_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Agents:
    """How the sites behind carrier NAT, or all of them, report themselves; and what goes wrong with it."""

    all: bool = False  # every village, not only those on satellite and cellular links
    duplicate_pct: float = 0.0  # of what is sent, sent again although it came
    late_pct: float = 0.0  # of the batches: all but the newest reading comes `late_s` later
    late_s: float = 600.0
    clock_wrong_pct: float = 0.0  # of the agents
    backlog_pct: float = 0.0  # of the agents, which come with readings of an earlier boot
    backlog_s: float = 7200.0  # how old those are
    backlog_rows: int = 20
    stop_s: float | None = None  # after that nothing is measured any more, and what is left is sent
    log: bool = False  # every reading and every sending is told in agents.jsonl


@dataclass(frozen=True, slots=True)
class Script:
    seed: int = 1
    interval_s: int | None = None
    send_every_s: int | None = None  # of metered links
    registered_s: int = 0  # the sites of a new demo are there since so long before its start
    sites: int | None = None
    nodes: int = 0
    technologies: Mapping[str, Behaviour] = field(default_factory=lambda: MappingProxyType({}))
    events: tuple[Event, ...] = ()
    lively: bool = False  # endless random events instead of `events`
    agents: Agents | None = None  # without, every site is measured by ping


def load(path: Path | None) -> Script:
    """The script in the file, or the lively default one where there is none."""
    if path is None:
        return Script(lively=True, agents=Agents())
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
    script = _script(Table(content, "script", problems))
    if problems:
        raise ScriptError(problems)
    return script


def _script(table: Table) -> Script:
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
        table.say("lively = true draws its own events; allowed: it, or [[event]] tables")
    table.finish()
    return script


def _agents(table: Table) -> Agents | None:
    """A table of theirs means that there are some."""
    given = table.take("agents", "true, false or a table", lambda value: _is_truth(value) or isinstance(value, dict))
    if not isinstance(given, dict):
        return Agents() if given else None
    found, usual = Table(given, "agents", table.problems), Agents()

    def share(key: str) -> float:
        return found.number(key, "0 to 100 (%)", lambda value: 0 <= value <= 100) or 0.0

    def seconds(key: str) -> Any:
        return found.number(key, "seconds above 0", lambda value: value > 0)

    agents = Agents(
        all=found.take("all", "true or false", _is_truth) or False,
        duplicate_pct=share("duplicate_pct"),
        late_pct=share("late_pct"),
        late_s=seconds("late_s") or usual.late_s,
        clock_wrong_pct=share("clock_wrong_pct"),
        backlog_pct=share("backlog_pct"),
        backlog_s=seconds("backlog_s") or usual.backlog_s,
        backlog_rows=found.whole("backlog_rows", "a whole number from 1", 1, default=usual.backlog_rows),
        stop_s=seconds("stop_s"),
        log=found.take("log", "true or false", _is_truth) or False,
    )
    found.finish()
    return agents


def _technologies(table: Table) -> Mapping[str, Behaviour]:
    found = table.table("technology", "technology")
    if found is None:
        return MappingProxyType({})
    behaviours = {}
    for name in TECHNOLOGIES:
        if (one := found.table(name, f"technology.{name}")) is not None:
            behaviours[name] = _behaviour(one)
    found.finish()
    return MappingProxyType(behaviours)


def _behaviour(table: Table) -> Behaviour:
    behaviour = Behaviour(
        rtt_ms=table.number("rtt_ms", f"0 to {SLOWEST_MS:g} (ms)", _is_delay),
        jitter_ms=table.number("jitter_ms", f"0 to {SLOWEST_MS:g} (ms)", _is_delay),
        loss_pct=table.number("loss_pct", "0 to 100 (%)", lambda value: 0 <= value <= 100),
    )
    table.finish()
    return behaviour


def _events(table: Table) -> tuple[Event, ...]:
    found = table.take("event", "[[event]] tables", _is_tables) or []
    events = [_event(Table(content, f"event {number}", table.problems)) for number, content in enumerate(found, 1)]
    return tuple(event for event in events if event is not None)


def _event(table: Table) -> Event | None:
    """None where a problem was written down that leaves no event to speak of."""
    kind = table.one_of("kind", [kind.value for kind in EventKind], required=True)
    start_s = table.number("start_s", "seconds from 0", lambda value: value >= 0, required=True)
    duration_s = table.number("duration_s", "seconds above 0", lambda value: value > 0, required=True)
    for key, owner in (("loss_pct", EventKind.LOSS), ("rtt_ms", EventKind.SLOW)):
        if kind is not None and kind != owner:
            table.refuse(key, f"it belongs to kind {owner.value!r}")
    if kind == EventKind.BLIND:
        table.refuse("select", "a blind spell silences everything")
    select = table.table("select", f"{table.where}, select")
    loss_pct = table.number(
        "loss_pct", "above 0 to 100 (%)", lambda value: 0 < value <= 100, required=kind == EventKind.LOSS
    )
    rtt_ms = table.number("rtt_ms", f"0 to {SLOWEST_MS:g} (ms)", _is_delay, required=kind == EventKind.SLOW)
    selected = Select() if select is None else _select(select)
    table.finish()
    if None in (kind, start_s, duration_s):
        return None
    return Event(EventKind(kind), float(start_s), float(duration_s), selected, loss_pct, rtt_ms)


def _select(table: Table) -> Select:
    select = Select(
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
    return 0 <= value <= SLOWEST_MS


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
